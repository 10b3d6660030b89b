/** Where an embedded Postgres keeps its files, and how its data directory comes to be. */
import { execFile } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import {
  chmod,
  chown,
  lstat,
  mkdir,
  mkdtemp,
  readdir,
  readFile,
  realpath,
  rename,
  rm,
  symlink,
  writeFile,
} from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve, sep } from 'node:path';
import { promisify } from 'node:util';
import { AppError } from '../../errors.ts';
import { canReach, type Owner } from './owner.ts';

const run = promisify(execFile);

/** Major version of the binaries; a data directory of another one cannot be opened by them. */
const MAJOR = '18';
/** Bytes of `sun_path`, less the terminating zero and the `/.s.PGSQL.5432.lock` that Postgres appends. */
const MAX_SOCKET_DIR = (process.platform === 'darwin' ? 103 : 107) - '/.s.PGSQL.5432.lock'.length;
export const SUPERUSER = 'alignsae';

/**
 * The directory for everything of one embedded Postgres: `dataDir` itself, or, when root keeps it where the
 * Postgres user cannot go (such as below /root), a directory of its own that `dataDir/elsewhere` points to.
 */
export async function settleHome(dataDir: string, owner: Owner | null): Promise<string> {
  await mkdir(dataDir, { recursive: true });
  const pointer = join(dataDir, 'elsewhere');
  if (await lstat(pointer).catch(() => null)) return realpath(pointer);
  if (canReach(owner, resolve(dataDir))) return realpath(dataDir);
  // What was put into the directory for temporary files does not end up in the one for lasting ones.
  const temporary = resolve(dataDir).startsWith(join(tmpdir(), sep));
  const base = temporary ? tmpdir() : '/var/lib';
  const home = await mkdtemp(join(base, 'alignsae-home-'));
  await chmod(home, 0o755);
  try {
    await symlink(home, pointer);
    return home;
  } catch (error) {
    await rm(home, { recursive: true, force: true });
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return realpath(pointer);
    throw error;
  }
}

/**
 * Makes sure that `home/cluster` is a data directory that the binaries can open, running `initdb` if there is
 * none; safe when several processes do so at once or one is killed meanwhile.
 *
 * @throws AppError CONFLICT where something else lives there.
 */
export async function ensureCluster(initdb: string, home: string, owner: Owner | null): Promise<string> {
  const cluster = join(home, 'cluster');
  const version = await readVersion(cluster);
  if (version === MAJOR) return cluster;
  if (version !== null) {
    throw new AppError(
      'CONFLICT',
      `${cluster} belongs to Postgres ${version}, this server brings ${MAJOR}: dump it with the old version, ` +
        'or choose another data directory, or set DATABASE_URL',
    );
  }
  await createCluster(initdb, home, cluster, owner);
  return cluster;
}

/** The password of the superuser, which only platforms without unix sockets need. */
export function readPassword(home: string): Promise<string> {
  return readFile(join(home, 'password'), 'utf8');
}

/** A private directory for the socket whose path is short enough for the kernel. */
export async function ensureSocketDir(home: string, owner: Owner | null): Promise<string> {
  const inside = join(home, 'socket');
  const hash = createHash('sha256').update(home).digest('hex').slice(0, 16);
  const dir = Buffer.byteLength(inside) <= MAX_SOCKET_DIR ? inside : join(tmpdir(), `alignsae-pg-${hash}`);
  await mkdir(dir, { mode: 0o700 }).catch((error) => {
    if (error.code !== 'EEXIST') throw error;
  });
  const found = await lstat(dir);
  const uid = owner?.uid ?? process.getuid?.();
  if (process.getuid?.() === 0 && owner && found.uid === 0) await chown(dir, owner.uid, owner.gid);
  else if (uid !== undefined && (found.uid !== uid || !found.isDirectory())) {
    throw new AppError('CONFLICT', `${dir}, needed for the Postgres socket, belongs to user ${found.uid}`);
  }
  return dir;
}

async function readVersion(cluster: string): Promise<string | null> {
  try {
    return (await readFile(join(cluster, 'PG_VERSION'), 'utf8')).trim();
  } catch {
    const entries = await readdir(cluster).catch(() => []);
    if (entries.length === 0) return null;
    throw new AppError('CONFLICT', `${cluster} is neither empty nor a Postgres data directory`);
  }
}

async function createCluster(initdb: string, home: string, cluster: string, owner: Owner | null) {
  const partial = await mkdtemp(`${cluster}-new-`);
  try {
    if (owner) await chown(partial, owner.uid, owner.gid);
    await runInitdb(initdb, home, partial, owner);
    await rename(partial, cluster);
  } catch (error) {
    await rm(partial, { recursive: true, force: true });
    // Another process was first: use its cluster.
    if ((await readVersion(cluster)) !== MAJOR) throw error;
  }
}

async function runInitdb(initdb: string, home: string, dir: string, owner: Owner | null): Promise<void> {
  const args = [
    `--pgdata=${dir}`,
    `--username=${SUPERUSER}`,
    '--encoding=UTF8',
    '--locale-provider=builtin',
    '--builtin-locale=C.UTF-8',
    '--locale=C',
    '--auth-local=trust',
    ...(process.platform === 'win32' ? await passwordOptions(home) : ['--auth-host=reject']),
    '--no-instructions',
  ];
  try {
    await run(initdb, args, { ...owner, cwd: dir, env: postgresEnvironment() });
  } catch (cause) {
    const reason = (cause as { stderr?: string }).stderr?.trim() || (cause as Error).message;
    throw new AppError(
      'UNAVAILABLE',
      `the embedded Postgres could not be set up in ${home}: ${reason} (or set DATABASE_URL)`,
      { cause },
    );
  }
}

async function passwordOptions(home: string): Promise<string[]> {
  const file = join(home, 'password');
  await writeFile(file, randomBytes(24).toString('hex'), { mode: 0o600, flag: 'wx' }).catch((error) => {
    if (error.code !== 'EEXIST') throw error;
  });
  return ['--auth-host=scram-sha-256', `--pwfile=${file}`];
}

/** A bare environment: `PG*` and `LD_*` variables meant for another Postgres must not reach ours. */
export function postgresEnvironment(): NodeJS.ProcessEnv {
  return process.platform === 'win32' ? process.env : { LC_ALL: 'C', PATH: '/usr/bin:/bin' };
}
