/** Two APIs and three workers, each on a machine of its own, and one Postgres and one S3 server that they reach over a network. */
import type { ChildProcess } from 'node:child_process';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { startEmbeddedPostgres } from '../../src/db/embedded.ts';
import { Bucket } from '../../src/db/s3/bucket.ts';
import { createLogger } from '../../src/log.ts';
import { startS3 } from '../../test/helpers/s3.ts';
import { endProcess, startServer } from '../serverProcess.ts';
import { HUB, layNetwork, type Machine, SUBNET } from './network.ts';

const NAMES = ['api-1', 'api-2', 'worker-1', 'worker-2', 'worker-3'];
const BUCKET_URL = 's3://test/soak';
/** What is reachable from other machines asks for a key. */
export const KEY = 'key-of-the-soak-which-nobody-else-has';

export interface Member {
  name: string;
  url: string;
  machine: Machine;
  /** SIGKILL, or SIGTERM and the wait for its end; then it is started again. */
  restart(signal: 'SIGKILL' | 'SIGTERM'): Promise<void>;
  /** Bytes of the process's own resident memory; 0 while it starts. */
  memory(): Promise<number>;
  stop(): Promise<void>;
}

/** @param python The one that has moto. */
export async function startTeam(directory: string, python: string) {
  const network = layNetwork();
  const s3 = await startS3(python, HUB);
  const hbaFile = join(directory, 'pg_hba.conf');
  await writeFile(hbaFile, `local all all trust\nhost all all ${SUBNET} trust\n`);
  const postgres = await startEmbeddedPostgres({
    dataDir: join(directory, 'postgres'),
    log: createLogger('error'),
    settings: { listen_addresses: HUB, hba_file: hbaFile },
  });
  const { port, username, pathname } = new URL(postgres.connectionString);
  const ports = { postgres: Number(port || 5432), bucket: Number(new URL(s3.endpoint).port) };
  const env = {
    ADMIN_API_KEY: KEY,
    DATABASE_URL: `postgresql://${username}@${HUB}:${ports.postgres}${pathname}`,
    ARTIFACTS_URL: BUCKET_URL,
    ARTIFACTS_CACHE: '200mb',
    AWS_ENDPOINT_URL_S3: s3.endpoint,
    AWS_REGION: 'us-east-1',
    AWS_ACCESS_KEY_ID: 'soak',
    AWS_SECRET_ACCESS_KEY: 'soak',
    CHECKPOINT_INTERVAL: '1s',
  };
  const members: Member[] = [];
  for (const name of NAMES) {
    const own = { ROLE: name.split('-')[0]!, DATA_DIR: join(directory, name) };
    members.push(await startMember(name, network.addMachine(name), { ...env, ...own }));
  }
  const { AWS_REGION: region, AWS_ACCESS_KEY_ID: accessKeyId, AWS_SECRET_ACCESS_KEY: secretAccessKey } = env;
  const credentials = { accessKeyId, secretAccessKey };
  return {
    members,
    ports,
    connectionString: postgres.connectionString,
    bucket: new Bucket(BUCKET_URL, { endpoint: s3.endpoint, region, credentials }),
    async stop() {
      for (const member of members.toReversed()) await member.stop();
      await postgres.stop();
      await s3.close();
      network.remove();
    },
  };
}

async function startMember(name: string, machine: Machine, own: Record<string, string>): Promise<Member> {
  const isApi = name.startsWith('api');
  const env = { ...own, HOST: machine.address, PORT: '4000' };
  const message = isApi ? 'listening' : 'the worker takes runs';
  const begin = async (): Promise<ChildProcess> => {
    for (;;)
      try {
        return (await startServer(env, message, { within: machine.within, stderr: 'ignore' })).child;
      } catch {
        // A start may fall into a partition; a supervisor would try again.
      }
  };
  let child = await begin();
  return {
    name,
    url: isApi ? `http://${machine.address}:4000` : '',
    machine,
    async restart(signal) {
      await endProcess(child, signal);
      child = await begin();
    },
    async memory() {
      const text = await readFile(`/proc/${child.pid}/status`, 'utf8').catch(() => '');
      return Number(/^VmRSS:\s+(\d+)/m.exec(text)?.[1] ?? 0) * 1024;
    },
    stop: () => endProcess(child),
  };
}
