/** Starting a postmaster, finding a running one, and stopping it. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { open, readdir, readFile, readlink, rename, rm, stat } from 'node:fs/promises';
import { type AddressInfo, createServer } from 'node:net';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { postgresEnvironment } from './cluster.ts';
import type { Owner } from './owner.ts';

const POLL_MS = 15;
/** A longer log is put aside when Postgres starts. */
const MAX_LOG_BYTES = 10 * 1024 * 1024;
/** A fast shutdown that takes longer than this is followed by an immediate one (replayed at the next start). */
const FAST_SHUTDOWN_MS = 30_000;

/** Where to reach a postmaster, in libpq's terms. */
export interface Address {
  /** Directory of its socket, or the address it listens on. */
  host: string;
  port: number;
}

/** What a running postmaster says of itself in `postmaster.pid`; `host` is empty until it listens. */
export interface Postmaster extends Address {
  pid: number;
}

/** The postmaster that runs on `cluster`, or null if there is none or only a stale pid file. */
export async function findPostmaster(cluster: string): Promise<Postmaster | null> {
  const text = await readFile(join(cluster, 'postmaster.pid'), 'utf8').catch(() => null);
  if (text === null) return null;
  const [pid, , , port, socketDir, address] = text.split('\n').map((line) => line.trim());
  if (!(await isPostmaster(Number(pid), cluster))) return null;
  return { pid: Number(pid), port: Number(port), host: socketDir || address || '' };
}

/**
 * Removes lock files whose number belongs to no postmaster of `cluster`, though Postgres would take it for a
 * rival: another program of the same user has got it (typical after a container restart), or it was killed and
 * its parent has not noticed (a container without an init). Does nothing while any process works in `cluster`.
 */
export async function removeStaleLocks(cluster: string, { host, port }: Address): Promise<void> {
  if (process.platform !== 'linux') return;
  for (const file of [join(cluster, 'postmaster.pid'), join(host, `.s.PGSQL.${port}.lock`)]) {
    const text = await readFile(file, 'utf8').catch(() => null);
    // Of numbers that nobody has, Postgres knows it itself.
    if (text === null || !isAlive(Number.parseInt(text, 10))) continue;
    if (await isBusy(cluster)) return;
    const unchanged = (await readFile(file, 'utf8').catch(() => null)) === text;
    if (unchanged) await rm(file, { force: true });
  }
}

export interface LaunchOptions {
  postgres: string;
  cluster: string;
  listen: Address;
  logFile: string;
  owner: Owner | null;
  settings: Readonly<Record<string, string>>;
}

/** A postmaster that this process has started, perhaps still coming up. */
export interface Launched {
  child: ChildProcess;
  /** What it wrote to its log since the launch. */
  readOutput(): Promise<string>;
}

/** Starts a postmaster in a session of its own, so that neither Ctrl-C nor our death takes it down. */
export async function launch(options: LaunchOptions): Promise<Launched> {
  const earlier = await stat(options.logFile).catch(() => null);
  if (earlier && earlier.size > MAX_LOG_BYTES) await rename(options.logFile, `${options.logFile}.1`);
  const log = await open(options.logFile, 'a', 0o600);
  try {
    const { size } = await log.stat();
    const args = ['-D', options.cluster, ...listenFlags(options.listen), ...flags(options.settings)];
    const child = spawn(options.postgres, args, {
      ...options.owner,
      cwd: options.cluster,
      env: postgresEnvironment(),
      stdio: ['ignore', log.fd, log.fd],
      detached: true,
    });
    child.unref();
    await once(child, 'spawn');
    return { child, readOutput: () => readFrom(options.logFile, size) };
  } finally {
    await log.close();
  }
}

/** An address that a postmaster on this platform may listen on: a socket directory, or a free local port. */
export async function chooseAddress(socketDir: string): Promise<Address> {
  if (process.platform !== 'win32') return { host: socketDir, port: 5432 };
  const probe = createServer().listen(0, '127.0.0.1');
  await once(probe, 'listening');
  const { port } = probe.address() as AddressInfo;
  probe.close();
  return { host: '127.0.0.1', port };
}

/** Fast shutdown: clients are disconnected, the data directory is left clean; resolves when it is gone. */
export async function shutDown(cluster: string, postmaster: Postmaster): Promise<void> {
  signal(postmaster.pid, 'SIGINT');
  const deadline = Date.now() + FAST_SHUTDOWN_MS;
  let insisted = false;
  while (await isPostmaster(postmaster.pid, cluster)) {
    if (!insisted && Date.now() > deadline) {
      insisted = true;
      signal(postmaster.pid, 'SIGQUIT');
    }
    await delay(POLL_MS);
  }
}

/** It may be gone by the time. */
function signal(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}

async function isPostmaster(pid: number, cluster: string): Promise<boolean> {
  if (!isAlive(pid)) return false;
  // Elsewhere than on Linux the pid's existence has to do. A process not yet waited for has an empty one.
  return process.platform !== 'linux' || (await commandLine(pid)).includes(cluster);
}

async function isBusy(cluster: string): Promise<boolean> {
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name)).map(Number);
  return (await Promise.all(pids.map((pid) => worksIn(pid, cluster)))).includes(true);
}

/** Backends keep the data directory as their working directory, and outlive a killed postmaster for a moment. */
async function worksIn(pid: number, cluster: string): Promise<boolean> {
  try {
    return (await readlink(`/proc/${pid}/cwd`)) === cluster;
  } catch (error) {
    // In a container root may not look at other users' processes; then any backend counts.
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return false;
    return (await commandLine(pid))[0]!.startsWith('postgres:');
  }
}

async function commandLine(pid: number): Promise<string[]> {
  return (await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '')).split('\0');
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}

function listenFlags({ host, port }: Address): string[] {
  const tcp = process.platform === 'win32';
  return flags({
    listen_addresses: tcp ? host : '',
    port: String(port),
    unix_socket_directories: tcp ? '' : host,
    ...(tcp ? {} : { unix_socket_permissions: '0700' }),
  });
}

function flags(settings: Readonly<Record<string, string>>): string[] {
  return Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`]);
}

async function readFrom(file: string, offset: number): Promise<string> {
  const text = await readFile(file).catch(() => Buffer.alloc(0));
  return text.subarray(offset).toString('utf8').trim();
}
