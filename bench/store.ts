/**
 * An artifact of 500 MB to a bucket and back, beside what the S3 server's own client and rclone reach: `npx tsx
 * bench/store.ts [--rounds 5]`. The server is versitygw on a temporary directory of this machine. Both are to be on the
 * PATH: `go install github.com/versity/versitygw/cmd/versitygw@v1.0.14`, `apt-get install rclone`. The server's client
 * sends zeros from memory and throws away what it gets; rclone and ours move files and check what arrived by hashes.
 */
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { createHash, randomFillSync } from 'node:crypto';
import { once } from 'node:events';
import { copyFile, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { loadavg, tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { parseArgs, promisify } from 'node:util';
import { openS3Store } from '../src/db/s3/s3Store.ts';
import { endProcess, freePort } from './serverProcess.ts';
import { spread } from './speed/stats.ts';

const { values: options } = parseArgs({ options: { rounds: { type: 'string', default: '5' } } });
const BYTES = 500_000_000;
const MB = 1_000_000;
/** All send and fetch as the server here does: parts of 16 MiB, four at a time. */
const PARTS = ['--partSize', String(16 * 1024 ** 2), '--concurrency', '4'];
const RCLONE = {
  ...{ RCLONE_CONFIG: '/dev/null', RCLONE_S3_PROVIDER: 'Other', RCLONE_S3_FORCE_PATH_STYLE: 'true' },
  ...{ RCLONE_S3_CHUNK_SIZE: '16M', RCLONE_S3_UPLOAD_CONCURRENCY: '4', RCLONE_S3_NO_CHECK_BUCKET: 'true' },
  RCLONE_S3_REGION: 'us-east-1',
};
const CLIENTS = ['ours', 'its own client', 'rclone'] as const;
type ClientName = (typeof CLIENTS)[number];
const CREDENTIALS = { accessKeyId: 'alignsae', secretAccessKey: 'secret-of-this-bench-alone' };
const WAYS = ['upload', 'download'] as const;
type Way = (typeof WAYS)[number];
const run = promisify(execFile);
/** The others take no further certificates. */
const { AWS_CA_BUNDLE: _, ...env } = process.env;
/** Seconds of each round. */
type Times = Record<Way, number[]>;

async function measure(directory: string, endpoint: string): Promise<Record<ClientName, Times>> {
  const none = () => ({ upload: [], download: [] });
  const times: Record<ClientName, Times> = { ours: none(), 'its own client': none(), rclone: none() };
  const artifact = join(directory, 'artifact');
  const bytes = randomFillSync(Buffer.allocUnsafe(BYTES));
  await writeFile(artifact, bytes);
  const sha256 = createHash('sha256').update(bytes).digest('hex');
  const ask: Record<ClientName, () => Promise<Record<Way, number>>> = {
    ours: () => askOurs(directory, endpoint, { artifact, sha256 }),
    'its own client': () => askTheirs(endpoint),
    rclone: () => askRclone(endpoint, artifact),
  };
  for (let round = 0; round < Number(options.rounds); round++)
    for (const client of CLIENTS) {
      const found = await ask[client]();
      for (const way of WAYS) times[client][way].push(found[way]);
      await rm(join(directory, 'buckets', 'bench'), { recursive: true });
      await mkdir(join(directory, 'buckets', 'bench'));
    }
  return times;
}

/** A machine that has made the artifact, and another one that has never seen it. */
async function askOurs(
  directory: string,
  endpoint: string,
  { artifact, sha256 }: { artifact: string; sha256: string },
): Promise<Record<Way, number>> {
  const open = (name: string) =>
    openS3Store({
      url: 's3://bench/artifacts',
      cacheDir: join(directory, name),
      cacheBytes: 2 * BYTES,
      client: { endpoint, region: 'us-east-1', credentials: CREDENTIALS },
    });
  const [maker, reader] = [await open('maker'), await open('reader')];
  const path = maker.newPath();
  await copyFile(artifact, path);
  const upload = await timed(() => maker.put({ path, sha256, bytes: BYTES }));
  const download = await timed(() => reader.path(sha256));
  for (const store of [maker, reader]) store.close();
  for (const name of ['maker', 'reader']) await rm(join(directory, name), { recursive: true });
  return { upload, download };
}

async function timed(work: () => Promise<unknown>): Promise<number> {
  const begun = performance.now();
  await work();
  return (performance.now() - begun) / 1000;
}

/** Seconds, as it prints them itself. */
async function askTheirs(endpoint: string): Promise<Record<Way, number>> {
  const { accessKeyId, secretAccessKey } = CREDENTIALS;
  const keys = ['--access', accessKeyId, '--secret', secretAccessKey, '--endpoint', endpoint];
  const object = ['--bucket', 'bench', '--prefix', 'theirs', '--files', '1', '--objsize', String(BYTES)];
  const transfer = async (way: Way) => {
    const { stdout } = await run('versitygw', ['test', ...keys, 'bench', `--${way}`, ...object, ...PARTS], {
      env,
    });
    const found = /run \w+: \d+ in ([\d.]+)(ms|s) /.exec(stdout);
    if (!found) throw new Error(`versitygw says no time: ${stdout}`);
    return Number(found[1]) / (found[2] === 'ms' ? 1000 : 1);
  };
  return { upload: await transfer('upload'), download: await transfer('download') };
}

async function askRclone(endpoint: string, artifact: string): Promise<Record<Way, number>> {
  const { accessKeyId: RCLONE_S3_ACCESS_KEY_ID, secretAccessKey: RCLONE_S3_SECRET_ACCESS_KEY } = CREDENTIALS;
  const own = { RCLONE_S3_ENDPOINT: endpoint, RCLONE_S3_ACCESS_KEY_ID, RCLONE_S3_SECRET_ACCESS_KEY };
  const all = { ...env, ...RCLONE, ...own };
  const copy = (from: string, to: string) => timed(() => run('rclone', ['copyto', from, to], { env: all }));
  const object = ':s3:bench/rclone';
  return {
    upload: await copy(artifact, object),
    download: await copy(object, `${artifact}.back`).finally(() => rm(`${artifact}.back`, { force: true })),
  };
}

async function startGateway(root: string): Promise<{ endpoint: string; child: ChildProcess }> {
  const port = await freePort();
  const { accessKeyId: ROOT_ACCESS_KEY, secretAccessKey: ROOT_SECRET_KEY } = CREDENTIALS;
  const child = spawn('versitygw', ['--quiet', '--port', `127.0.0.1:${port}`, 'posix', root], {
    env: { ...process.env, ROOT_ACCESS_KEY, ROOT_SECRET_KEY },
    stdio: 'ignore',
  });
  await once(child, 'spawn');
  const endpoint = `http://127.0.0.1:${port}`;
  for (let tries = 0; ; tries++)
    try {
      await fetch(endpoint);
      return { endpoint, child };
    } catch (error) {
      if (tries > 100 || child.exitCode !== null) throw error;
      await delay(50);
    }
}

function report(times: Record<ClientName, Times>): void {
  const both = ({ upload, download }: Times) => upload.map((seconds, i) => seconds + download[i]!);
  console.log(`medians of ${options.rounds} rounds, at a load of ${loadavg()[0]!.toFixed(0)}`);
  for (const [what, bytes, of] of [
    ['to the bucket', BYTES, ({ upload }: Times) => upload],
    ['back', BYTES, ({ download }: Times) => download],
    ['to the bucket and back', 2 * BYTES, both],
  ] as const) {
    const seconds = CLIENTS.map((client) => spread(of(times[client])).median);
    const rates = CLIENTS.map((client, i) => `${client} ${(bytes / MB / seconds[i]!).toFixed(0)} MB/s`);
    const ratios = CLIENTS.slice(1).map(
      (client, i) => `${(seconds[i + 1]! / seconds[0]!).toFixed(2)} × ${client}`,
    );
    console.log(`${what}: ${rates.join(', ')}; ours is ${ratios.join(', ')}`);
  }
}

const directory = await mkdtemp(join(tmpdir(), 'alignsae-store-'));
await mkdir(join(directory, 'buckets', 'bench'), { recursive: true });
const { endpoint, child } = await startGateway(join(directory, 'buckets')).catch((cause) => {
  throw new Error('versitygw is needed on the PATH; see the head of bench/store.ts', { cause });
});
try {
  report(await measure(directory, endpoint));
} finally {
  await endProcess(child);
  await rm(directory, { recursive: true, force: true });
}
