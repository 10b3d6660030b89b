/** Two APIs and three workers on one Postgres and one S3 server, each behind cables of its own. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { startEmbeddedPostgres } from '../../src/db/embedded.ts';
import { createLogger } from '../../src/log.ts';
import { findMoto, startS3 } from '../../test/helpers/s3.ts';
import { type Cable, layCable } from './cable.ts';

const MAIN = fileURLToPath(new URL('../../src/main.ts', import.meta.url));

export interface Member {
  name: string;
  url: string;
  database: Cable;
  bucket: Cable;
  /** SIGKILL, or SIGTERM and the wait for its end; then it is started again. */
  restart(signal: 'SIGKILL' | 'SIGTERM'): Promise<void>;
  /** Bytes of the process's own resident memory; 0 while it starts. */
  memory(): Promise<number>;
  stop(): Promise<void>;
}

export async function startTeam(directory: string) {
  const python = await findMoto();
  if (!python) throw new Error('there is no S3 server: python3 with venv and pip is needed');
  const s3 = await startS3(python);
  const postgres = await startEmbeddedPostgres({
    dataDir: join(directory, 'postgres'),
    log: createLogger('error'),
  });
  const { hostname, port, username, pathname } = new URL(postgres.connectionString);
  const socket = { path: `${decodeURIComponent(hostname)}/.s.PGSQL.${port}` };
  const bucket = { host: '127.0.0.1', port: Number(new URL(s3.endpoint).port) };
  const members: Member[] = [];
  for (const name of ['api-1', 'api-2', 'worker-1', 'worker-2', 'worker-3'])
    members.push(
      await startMember(
        name,
        join(directory, name),
        await layCable(socket),
        await layCable(bucket),
        (at) => `postgresql://${username}@127.0.0.1:${at}${pathname}`,
      ),
    );
  return {
    members,
    connectionString: postgres.connectionString,
    async stop() {
      for (const member of members.toReversed()) await member.stop();
      await postgres.stop();
      await s3.close();
    },
  };
}

async function startMember(
  name: string,
  dataDir: string,
  database: Cable,
  bucket: Cable,
  databaseUrl: (port: number) => string,
): Promise<Member> {
  const role = name.split('-')[0]!;
  const env = {
    ROLE: role,
    PORT: '0',
    DATA_DIR: dataDir,
    DATABASE_URL: databaseUrl(database.port),
    ARTIFACTS_URL: 's3://test/soak',
    ARTIFACTS_CACHE: '200mb',
    AWS_ENDPOINT_URL_S3: `http://127.0.0.1:${bucket.port}`,
    AWS_REGION: 'us-east-1',
    AWS_ACCESS_KEY_ID: 'soak',
    AWS_SECRET_ACCESS_KEY: 'soak',
    CHECKPOINT_INTERVAL: '1s',
  };
  const member: Member & { child: ChildProcess | null } = {
    ...{ name, url: '', database, bucket, child: null },
    async restart(signal) {
      const { child } = member;
      if (child && child.exitCode === null && child.signalCode === null) {
        child.kill(signal);
        await once(child, 'exit');
      }
      await begin();
    },
    async memory() {
      const text = await readFile(`/proc/${member.child?.pid}/status`, 'utf8').catch(() => '');
      return Number(/^VmRSS:\s+(\d+)/m.exec(text)?.[1] ?? 0) * 1024;
    },
    async stop() {
      const { child } = member;
      if (child && child.exitCode === null && child.signalCode === null) {
        child.kill('SIGTERM');
        await once(child, 'exit');
      }
      for (const cable of [database, bucket]) cable.close();
    },
  };
  // An API keeps its port, as one behind a proxy does.
  const begin = async () => {
    const given = member.url === '' ? env : { ...env, PORT: new URL(member.url).port };
    // A start may fall into a partition; a supervisor would try again.
    for (;;) {
      const started = await launch(given, role === 'api' ? 'listening' : 'the worker takes runs');
      member.child = started.child;
      if (started.line === null) continue;
      member.url = (JSON.parse(started.line) as { url?: string }).url ?? '';
      return;
    }
  };
  await begin();
  return member;
}

/** Resolves with the line that says that it is up, or null where it ended before. */
async function launch(
  env: Record<string, string>,
  message: string,
): Promise<{ child: ChildProcess; line: string | null }> {
  const child = spawn(process.execPath, ['--import', 'tsx', MAIN], {
    env: { ...process.env, ...env },
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  const line = await new Promise<string | null>((resolve) => {
    createInterface({ input: child.stdout! }).on('line', (text) => {
      if (text.includes(`"msg":"${message}`)) resolve(text);
    });
    child.once('exit', () => resolve(null));
  });
  return { child, line };
}
