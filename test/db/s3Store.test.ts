import { createHash, randomBytes } from 'node:crypto';
import { mkdtemp, readdir, readFile, rm, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  AbortMultipartUploadCommand,
  ListMultipartUploadsCommand,
  PutObjectCommand,
  S3Client,
} from '@aws-sdk/client-s3';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { NewFile } from '../../src/db/artifactStore.ts';
import type { Database } from '../../src/db/client.ts';
import { collectArtifact, storeArtifact, sweepArtifacts } from '../../src/db/queries/artifacts.ts';
import { openS3Store, type S3Store } from '../../src/db/s3/s3Store.ts';
import { guardStore } from '../../src/db/storeIdentity.ts';
import { installation } from '../../src/db/tables/index.ts';
import { whyTransient } from '../../src/db/transient.ts';
import { createTestDatabase } from '../helpers/database.ts';
import { findMoto, type S3Server, startS3 } from '../helpers/s3.ts';

const python = await findMoto();
const PART = 64 * 1024;
const CREDENTIALS = { accessKeyId: 'a', secretAccessKey: 'b' };

let s3: S3Server;
let directory: string;
let database: Database;
const stores: S3Store[] = [];
let prefix = 0;
beforeAll(async () => {
  if (!python) return;
  s3 = await startS3(python);
  database = await createTestDatabase();
  directory = await mkdtemp(join(tmpdir(), 'alignsae-s3-'));
});
afterAll(async () => {
  await s3?.close();
  await database?.close();
  if (directory) await rm(directory, { recursive: true });
});
beforeEach(() => {
  prefix += 1;
  s3.requests = [];
});
afterEach(() => {
  s3.fault = () => null;
  for (const store of stores.splice(0)) store.close();
});

/** A store with a cache of its own, as another machine has it. */
async function open({ cacheBytes = 1e9, bucket = 'test' } = {}): Promise<S3Store & { cacheDir: string }> {
  const cacheDir = await mkdtemp(join(directory, 'cache-'));
  const store = await openS3Store({
    ...{ url: `s3://${bucket}/p/${prefix}`, cacheDir, cacheBytes, partBytes: PART },
    client: { endpoint: s3.endpoint, region: 'us-east-1', credentials: CREDENTIALS, maxAttempts: 2 },
  });
  stores.push(store);
  return Object.assign(store, { cacheDir });
}
/** To look at the bucket past the store. */
const newClient = () =>
  new S3Client({
    ...{ endpoint: s3.endpoint, region: 'us-east-1', credentials: CREDENTIALS, forcePathStyle: true },
  });
async function write(bytes: number): Promise<NewFile & { content: Buffer }> {
  const content = randomBytes(bytes);
  const path = join(directory, randomBytes(8).toString('hex'));
  await writeFile(path, content);
  return { path, bytes, content, sha256: createHash('sha256').update(content).digest('hex') };
}
/** Keeps what `put` takes over. */
async function put(store: S3Store, file: NewFile & { content: Buffer }): Promise<void> {
  await writeFile(file.path, file.content);
  await store.put(file);
}
const sent = (pattern: RegExp) => s3.requests.filter((line) => pattern.test(line)).length;

describe.skipIf(!python)('a store in a bucket', () => {
  it('gives out on one machine what another took, in parts or whole, and reads by range', async () => {
    const [here, there] = [await open(), await open()];
    for (const bytes of [10, 2 * PART + 17]) {
      const file = await write(bytes);
      await put(here, file);
      expect(await here.has(file.sha256)).toBe(true);
      s3.requests = [];
      expect((await readFile(await there.path(file.sha256))).equals(file.content)).toBe(true);
      expect(sent(/^GET .*safetensors/)).toBe(Math.ceil(bytes / PART));
      // From then on from the disk.
      s3.requests = [];
      await there.path(file.sha256);
      await here.path(file.sha256);
      expect(s3.requests).toEqual([]);
    }
    await expect(there.path('0'.repeat(64), 'model "x"')).rejects.toThrow('model "x" cannot be read');
  });

  it('goes on with an upload that broke off, and sends nothing twice', async () => {
    const store = await open();
    const file = await write(3 * PART);
    s3.fault = ({ url }) => (url?.includes('partNumber=3') ? 'CUT' : null);
    const failure = await put(store, file).then(
      () => null,
      (error: unknown) => error,
    );
    expect(failure).toMatchObject({ code: 'UNAVAILABLE' });
    expect(whyTransient(failure)).toBe('AWAY');
    s3.fault = () => null;
    s3.requests = [];
    const again = await open();
    await put(again, file);
    expect(sent(/^PUT .*partNumber=\d/)).toBe(1);
    expect(sent(/^POST .*uploads/)).toBe(0);
    expect((await readFile(await (await open()).path(file.sha256))).equals(file.content)).toBe(true);
    // What is there already is not sent at all.
    s3.requests = [];
    await put(store, file);
    expect(sent(/^PUT/)).toBe(0);
  });

  it('rides out 503, and connections that are cut, in both directions', async () => {
    const store = await open();
    const file = await write(2 * PART);
    let left = 2;
    s3.fault = ({ method }) => (method === 'PUT' && left-- > 0 ? 'BUSY' : null);
    await put(store, file);
    let cuts = 3;
    s3.fault = ({ method, url }) =>
      method === 'GET' && url?.includes('safetensors') && cuts-- > 0 ? 'CUT' : null;
    expect((await readFile(await (await open()).path(file.sha256))).equals(file.content)).toBe(true);
    expect(cuts).toBeLessThanOrEqual(0);
    s3.fault = () => 'BUSY';
    const refused = await (await open()).path(file.sha256).catch((error: unknown) => error);
    expect(refused).toMatchObject({
      code: 'UNAVAILABLE',
      message: expect.stringContaining('it answers 503'),
    });
    expect(whyTransient(refused)).toBe('AWAY');
  });

  it.each([
    ['whole', 1000],
    ['in parts', PART + 1],
  ])('notices what was changed on the way there, sent %s, and leaves none of it', async (_how, bytes) => {
    const store = await open();
    const file = await write(bytes);
    s3.fault = ({ method, url }) => (method === 'PUT' && url?.includes('safetensors') ? 'CORRUPT' : null);
    await expect(put(store, file)).rejects.toMatchObject({ code: 'UNAVAILABLE' });
    s3.fault = () => null;
    await expect.poll(() => store.has(file.sha256)).toBe(false);
    await put(store, file);
    expect((await readFile(await (await open()).path(file.sha256))).equals(file.content)).toBe(true);
  });

  it('tries once more what came wrong, and moves what is wrong itself out of the way', async () => {
    const store = await open();
    const file = await write(1000);
    await put(store, file);
    let wrong = 1;
    s3.fault = ({ method, url }) =>
      method === 'GET' && url?.includes('safetensors') && wrong-- > 0 ? 'CORRUPT' : null;
    expect((await readFile(await (await open()).path(file.sha256))).equals(file.content)).toBe(true);
    const key = `p/${prefix}/${file.sha256.slice(0, 2)}/${file.sha256}.safetensors`;
    const client = newClient();
    await client.send(new PutObjectCommand({ Bucket: 'test', Key: key, Body: randomBytes(1000) }));
    client.destroy();
    await expect((await open()).path(file.sha256)).rejects.toThrow('is damaged: its bytes have SHA-256');
    expect(await store.has(file.sha256)).toBe(false);
    const damaged = [];
    for await (const each of store.listDamaged()) damaged.push(each);
    expect(damaged).toMatchObject([{ bytes: 1000, name: expect.stringContaining(file.sha256) }]);
    await store.deleteDamaged(damaged[0]!.name);
    for await (const each of store.listDamaged()) expect.unreachable(JSON.stringify(each));
  });

  it('keeps as many files on the disk as fit, those used last, and all that are held', async () => {
    const store = await open({ cacheBytes: 2500 });
    const files = [await write(1000), await write(1000), await write(1000), await write(1000)];
    const lease = store.lease();
    const cached = async () => {
      const names = await readdir(store.cacheDir, { recursive: true });
      return files.map(({ sha256 }) => names.some((name) => name.endsWith(`${sha256}.safetensors`)));
    };
    const age = (i: number, minutes: number) => {
      const at = new Date(Date.now() - minutes * 60_000);
      return utimes(join(store.cacheDir, 'used', files[i]!.sha256), at, at);
    };
    for (const file of files.slice(0, 3)) await put(store, file);
    // All were used a moment ago.
    expect(await cached()).toEqual([true, true, true, false]);
    await lease.store.path(files[0]!.sha256);
    for (const i of [0, 1, 2]) await age(i, 60 - i);
    await put(store, files[3]!);
    expect(await cached()).toEqual([true, false, false, true]);
    lease.release();
    await age(0, 60);
    await put(store, files[1]!);
    await put(store, files[2]!);
    expect(await cached()).toEqual([false, true, true, true]);
  });

  it('is collected like any other, with the uploads that nobody went on with', async () => {
    const { db } = database;
    const store = await open();
    const file = await write(1000);
    await writeFile(file.path, file.content);
    const hash = await db.transaction((tx) => storeArtifact(tx, store, file, 'MODEL'));
    expect(await collectArtifact(db, store, hash)).toBe(true);
    expect(await store.has(hash)).toBe(false);
    s3.fault = ({ url }) => (url?.includes('partNumber=2') ? 'CUT' : null);
    await put(store, await write(2 * PART)).catch(() => undefined);
    s3.fault = () => null;
    const client = newClient();
    const unfinished = async () =>
      (await client.send(new ListMultipartUploadsCommand({ Bucket: 'test', Prefix: `p/${prefix}/` })))
        .Uploads ?? [];
    expect(await unfinished()).toHaveLength(1);
    await sweepArtifacts(db, store, new Date(Date.now() + 60_000));
    // Some servers forget when an upload was begun.
    for (const { Key, UploadId, Initiated } of await unfinished()) {
      expect(Initiated).toBeUndefined();
      await client.send(new AbortMultipartUploadCommand({ Bucket: 'test', Key, UploadId }));
    }
    client.destroy();
  });

  it('belongs to one database, says so, and says what is wrong with it', async () => {
    const { db } = database;
    const store = await open();
    const guard = await guardStore(db, store);
    await guard.check();
    await (await guardStore(db, await open())).check();
    await db.delete(installation);
    prefix += 1;
    await guardStore(db, await open());
    await expect(guardStore(db, store)).rejects.toThrow(
      /ARTIFACTS_URL, DATA_DIR: the artifact store s3:.*is that of/,
    );
    const missing = await open({ bucket: 'absent' });
    await expect(guardStore(db, missing)).rejects.toThrow('there is no such bucket');
  });
});
