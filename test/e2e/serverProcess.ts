/** The real server in processes of its own, as an operator starts it. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { inject } from 'vitest';

const MAIN = fileURLToPath(new URL('../../src/main.ts', import.meta.url));

export interface ServerProcess {
  child: ChildProcess;
  /** Of the API; empty for a worker. */
  endpoint: string;
  url: string;
  /** What it logged, line by line. */
  lines: string[];
  /** Resolves with the exit code, or null after a signal. */
  exited: Promise<number | null>;
}

/** What is started, and where. */
export interface Command {
  file: string;
  args: string[];
  cwd?: string;
}

const OF_THIS_CHECKOUT: Command = { file: process.execPath, args: ['--import', 'tsx', MAIN] };

/** Starts a process and reads its log; `READY` decides when it is up. */
export function spawnServer(
  env: Record<string, string>,
  { file, args, cwd }: Command = OF_THIS_CHECKOUT,
): ServerProcess {
  const child = spawn(file, args, {
    cwd,
    env: { ...baseEnvironment(), ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
    // A process group of its own, so that whoever it leaves behind can be found.
    detached: true,
  });
  const server: ServerProcess = {
    child,
    endpoint: '',
    url: '',
    lines: [],
    exited: once(child, 'exit').then(([code]) => code as number | null),
  };
  for (const stream of [child.stdout!, child.stderr!])
    createInterface({ input: stream }).on('line', (line) => {
      server.lines.push(line);
      child.emit('line', line);
    });
  return server;
}

/** Starts a server and resolves when it serves or takes runs. @throws Error with its log when it ended before. */
export async function startServer(env: Record<string, string>, command?: Command): Promise<ServerProcess> {
  const server = spawnServer(env, command);
  const awaited = env.ROLE === 'worker' ? '"msg":"the worker takes runs"' : '"msg":"listening"';
  const line = await new Promise<string>((resolve, reject) => {
    server.child.on('line', (text: string) => text.includes(awaited) && resolve(text));
    void server.exited.then(() => reject(new Error(server.lines.join('\n'))));
  });
  server.url = (JSON.parse(line) as { url?: string }).url ?? '';
  server.endpoint = `${server.url}/graphql`;
  return server;
}

/** Asks it to drain; resolves with the exit code. */
export async function stopServer(server: ServerProcess): Promise<number | null> {
  server.child.kill('SIGTERM');
  return server.exited;
}

/** True while any process of the server's group lives. */
export function leavesProcesses(server: ServerProcess): boolean {
  try {
    process.kill(-server.child.pid!, 0);
    return true;
  } catch {
    return false;
  }
}

/** Resolves when the last process of the group is gone; the test's own time limit bounds it. */
export async function groupGone(server: ServerProcess): Promise<void> {
  while (leavesProcesses(server)) await new Promise((resolve) => setImmediate(resolve));
}

function baseEnvironment(): Record<string, string> {
  const { PATH, HOME, XDG_CACHE_HOME, CACHE_DIR, TENSORFLOW_DIR } = process.env;
  const given = { PATH, HOME, XDG_CACHE_HOME, CACHE_DIR, TENSORFLOW_DIR, PORT: '0' };
  const set = Object.entries(given).filter((entry): entry is [string, string] => entry[1] !== undefined);
  // Where the suite could not build the native engine, the servers it starts shall not try again.
  return { ...Object.fromEntries(set), ...(inject('native').available ? {} : { ENGINE_BACKEND: 'wasm' }) };
}
