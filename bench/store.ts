/**
 * An artifact of 500 MB to a bucket and back, beside what the S3 server's own client reaches: `npx tsx bench/store.ts
 * [--rounds 5]`. The server is versitygw on a temporary directory of this machine, to be put on the PATH before:
 * `go install github.com/versity/versitygw/cmd/versitygw@v1.0.14`. Ours reads the file, hashes it whole and in parts, and
 * on the way back writes it to disk and hashes it again; its client sends what is in memory and throws away what it gets.
 */
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { createHash, randomFillSync } from 'node:crypto';
import { once } from 'node:events';
import { copyFile, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { loadavg, tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { parseArgs, promisify } from 'node:util';
import { openS3Store } from '../src/db/s3/s3Store.ts';

const { values: options } = parseArgs({ options: { rounds: { type: 'string', default: '5' } } });
const BYTES = 500_000_000;
const MB = 1_000_000;
/** As the server here sends and fetches them: in parts of 16 MiB, four at a time. */
const PARTS = ['--partSize', String(16 * 1024 ** 2), '--concurrency', '4'];
const CREDENTIALS = { accessKeyId: 'alignsae', secretAccessKey: 'a secret of this bench alone' };
const WAYS = ['upload', 'download'] as const;
type Way = (typeof WAYS)[number];
/** Seconds of each round. */
type Times = Record<Way, number[]>;

async function measure(directory: string, endpoint: string): Promise<Record<'ours' | 'theirs', Times>> {
  const times = { ours: { upload: [], download: [] }, theirs: { upload: [], download: [] } } as Record<
    'ours' | 'theirs',
    Times
  >;
  const artifact = join(directory, 'artifact');
  const bytes = randomFillSync(Buffer.allocUnsafe(BYTES));
  await writeFile(artifact, bytes);
  const sha256 = createHash('sha256').update(bytes).digest('hex');
  for (let round = 0; round < Number(options.rounds); round++) {
    for (const way of WAYS) times.theirs[way].push(await askTheirs(endpoint, way));
    const { upload, download } = await askOurs(directory, endpoint, { artifact, sha256 });
    times.ours.upload.push(upload);
    times.ours.download.push(download);
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
async function askTheirs(endpoint: string, way: Way): Promise<number> {
  const { accessKeyId, secretAccessKey } = CREDENTIALS;
  const keys = ['--access', accessKeyId, '--secret', secretAccessKey, '--endpoint', endpoint];
  const object = ['--bucket', 'bench', '--prefix', 'theirs', '--files', '1', '--objsize', String(BYTES)];
  // Its client takes no further certificates.
  const { AWS_CA_BUNDLE: _, ...env } = process.env;
  const args = ['test', ...keys, 'bench', `--${way}`, ...object, ...PARTS];
  const { stdout } = await promisify(execFile)('versitygw', args, { env });
  const found = /run \w+: \d+ in ([\d.]+)(ms|s) /.exec(stdout);
  if (!found) throw new Error(`versitygw says no time: ${stdout}`);
  return Number(found[1]) / (found[2] === 'ms' ? 1000 : 1);
}

async function startGateway(root: string): Promise<{ endpoint: string; child: ChildProcess }> {
  const probe = createServer().listen(0, '127.0.0.1');
  await once(probe, 'listening');
  const { port } = probe.address() as { port: number };
  probe.close();
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

function report({ ours, theirs }: Record<'ours' | 'theirs', Times>): void {
  const both = ({ upload, download }: Times) => upload.map((seconds, i) => seconds + download[i]!);
  const median = (values: number[]) => values.toSorted((a, b) => a - b)[values.length >> 1]!;
  console.log(`medians of ${options.rounds} rounds, at a load of ${loadavg()[0]!.toFixed(0)}`);
  for (const [what, bytes, of] of [
    ['to the bucket', BYTES, ({ upload }: Times) => upload],
    ['back', BYTES, ({ download }: Times) => download],
    ['to the bucket and back', 2 * BYTES, both],
  ] as const) {
    const [own, other] = [median(of(ours)), median(of(theirs))];
    const rates = [own, other].map((seconds) => `${(bytes / MB / seconds).toFixed(0)} MB/s`);
    console.log(`${what}: ours ${rates[0]}, its own client ${rates[1]}: ${(other / own).toFixed(2)}`);
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
  child.kill();
  await once(child, 'exit');
  await rm(directory, { recursive: true, force: true });
}
