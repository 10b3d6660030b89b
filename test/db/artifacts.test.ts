import { createHash, randomBytes } from 'node:crypto';
import {
  access,
  chmod,
  mkdir,
  mkdtemp,
  readdir,
  readFile,
  rm,
  stat,
  truncate,
  utimes,
  writeFile,
} from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { sql } from 'drizzle-orm';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type ArtifactStore, type NewFile, openArtifactStore } from '../../src/db/artifactStore.ts';
import type { Database, Db } from '../../src/db/client.ts';
import { collectArtifact, storeArtifact, sweepArtifacts } from '../../src/db/queries/artifacts.ts';
import { readCheckpoint, replaceCheckpoint } from '../../src/db/queries/checkpoints.ts';
import { cancelRun, finishRun } from '../../src/db/queries/runs.ts';
import { createTestDatabase } from '../helpers/database.ts';
import { insertRunningRun } from '../helpers/fixtures.ts';

let database: Database;
let db: Db;
let root: string;
let store: ArtifactStore;
beforeAll(async () => {
  database = await createTestDatabase();
  db = database.db;
  root = await mkdtemp(join(tmpdir(), 'alignsae-store-'));
  store = await openArtifactStore(join(root, 'store'));
});
afterAll(async () => {
  await database.close();
  await rm(root, { recursive: true, force: true });
});

async function writeNew(bytes: Buffer = randomBytes(1000)): Promise<NewFile> {
  const path = join(await mkdtemp(join(root, 'work-')), 'file.safetensors');
  await writeFile(path, bytes);
  return { path, sha256: createHash('sha256').update(bytes).digest('hex'), bytes: bytes.length };
}
const isThere = (path: string) => access(path).then(...([() => true, () => false] as const));
const isStored = (hash: string) => store.path(hash).then(...([() => true, () => false] as const));
const countWaiting = async () =>
  (
    await db.execute(sql`select count(*)::int as n from pg_locks
      where locktype = 'advisory' and not granted
        and database = (select oid from pg_database where datname = current_database())`)
  ).rows[0]!.n;
const LONG_AGO = new Date('2020-01-01');

describe('the store', () => {
  test('takes a file over under its hash', async () => {
    const bytes = randomBytes(3_000_000);
    const file = await writeNew(bytes);
    await store.put(file);
    expect(await isThere(file.path)).toBe(false);
    const path = await store.path(file.sha256);
    expect(path.endsWith(`${file.sha256.slice(0, 2)}/${file.sha256}.safetensors`)).toBe(true);
    expect(bytes.equals(await readFile(path))).toBe(true);
  });

  test('takes the same bytes twice, also in a race and after an attempt that got half-way', async () => {
    const bytes = randomBytes(1000);
    const files = await Promise.all([writeNew(bytes), writeNew(bytes), writeNew(bytes)]);
    await Promise.all(files.map((file) => store.put(file)));
    await store.put(files[0]!);
    expect(await isStored(files[0]!.sha256)).toBe(true);
    expect(await Promise.all(files.map((file) => isThere(file.path)))).toEqual([false, false, false]);
  });

  test('refuses a file that is not what it is said to be', async () => {
    const file = await writeNew();
    await writeFile(file.path, 'other');
    await expect(store.put(file)).rejects.toMatchObject({ code: 'INTERNAL' });
    expect(await isStored(file.sha256)).toBe(false);
    await expect(store.path(file.sha256)).rejects.toMatchObject({ code: 'UNAVAILABLE' });
  });
});

describe('a stored file that somebody has damaged', () => {
  const damaged = () => readdir(join(root, 'store', 'damaged')).catch(() => []);

  test('is named and moved away, also where it has kept its size and its times', async () => {
    const file = await writeNew();
    await store.put(file);
    const path = await store.path(file.sha256);
    const { atime, mtime } = await stat(path);
    await writeFile(path, randomBytes(1000));
    await utimes(path, atime, mtime);
    await expect(store.path(file.sha256, 'model "x"')).rejects.toMatchObject({
      code: 'UNAVAILABLE',
      message: expect.stringMatching(
        new RegExp(
          `^model "x" cannot be read: its file, artifact ${file.sha256}, is damaged: .* moved to damaged/`,
        ),
      ),
    });
    expect(await damaged()).toEqual([expect.stringMatching(new RegExp(`^${file.sha256}-`))]);
    await expect(store.path(file.sha256)).rejects.toThrow('is missing from the store');
  });

  test('is restored by storing its content again, in front of the damaged one too', async () => {
    const bytes = randomBytes(1000);
    const [first, second] = [await writeNew(bytes), await writeNew(bytes)];
    await store.put(first);
    const path = await store.path(first.sha256);
    await truncate(path, 500);
    await store.put(second);
    expect(bytes.equals(await readFile(await store.path(first.sha256)))).toBe(true);
  });

  test('is found by a store that opens it for the first time', async () => {
    const file = await writeNew();
    await store.put(file);
    const path = await store.path(file.sha256);
    await truncate(path, 999);
    const another = await openArtifactStore(join(root, 'store'));
    await expect(another.path(file.sha256)).rejects.toThrow('is damaged');
  });

  test('stays where people look for it through a sweep', async () => {
    const before = await damaged();
    for await (const _ of store.list(new Date(Date.now() + 1000)));
    expect(await damaged()).toEqual(before);
  });

  test('is read once, until it changes', async () => {
    const file = await writeNew(randomBytes(20_000_000));
    await store.put(file);
    const elsewhere = await openArtifactStore(store.place);
    const time = async () => {
      const start = performance.now();
      await elsewhere.path(file.sha256);
      return performance.now() - start;
    };
    const first = await time();
    const again = await Promise.all(new Array(10).fill(0).map(time));
    expect(Math.min(...again)).toBeLessThan(first / 3);
  });
});

test.skipIf(process.getuid?.() === 0)('a store that may not be written says so', async () => {
  const readOnly = await openArtifactStore(join(root, 'read-only'));
  await chmod(join(root, 'read-only'), 0o500);
  await expect(readOnly.put(await writeNew())).rejects.toMatchObject({
    code: 'UNAVAILABLE',
    message: 'the artifact store cannot be written (EACCES); DATA_DIR must be writable for the server',
  });
  await chmod(join(root, 'read-only'), 0o700);
});

describe('checkpoints', () => {
  test('replace one another, and the earlier file goes', async () => {
    const { claim } = await insertRunningRun(db);
    const [first, second] = [await writeNew(), await writeNew()];
    expect(await readCheckpoint(db, claim.runId)).toBeNull();
    expect(await replaceCheckpoint(db, store, claim, 10, first!)).toBe(true);
    expect(await replaceCheckpoint(db, store, claim, 20, second!)).toBe(true);
    expect(await readCheckpoint(db, claim.runId)).toMatchObject({ step: 20, artifactHash: second!.sha256 });
    expect(await isStored(first!.sha256)).toBe(false);
    expect(await isStored(second!.sha256)).toBe(true);
  });

  test('with the same bytes keep the file', async () => {
    const { claim } = await insertRunningRun(db);
    const other = await insertRunningRun(db);
    const bytes = randomBytes(1000);
    await replaceCheckpoint(db, store, claim, 10, await writeNew(bytes));
    await replaceCheckpoint(db, store, other.claim, 10, await writeNew(bytes));
    await replaceCheckpoint(db, store, claim, 20, await writeNew(bytes));
    await replaceCheckpoint(db, store, claim, 30, await writeNew());
    const kept = (await readCheckpoint(db, other.id))!.artifactHash;
    expect(await isStored(kept)).toBe(true);
  });

  test('are not stored under a void claim, and their file is left alone', async () => {
    const { claim } = await insertRunningRun(db);
    await cancelRun(db, claim.runId);
    const file = await writeNew();
    expect(await replaceCheckpoint(db, store, claim, 10, file)).toBe(false);
    expect(await isThere(file.path)).toBe(true);
    expect(await readCheckpoint(db, claim.runId)).toBeNull();
  });
});

describe('collecting', () => {
  test('spares what a run still refers to', async () => {
    const { claim } = await insertRunningRun(db);
    const hash = await db.transaction(async (tx) => {
      const artifactHash = await storeArtifact(tx, store, await writeNew(), 'MODEL');
      await finishRun(tx, claim, { artifactHash });
      return artifactHash;
    });
    expect(await collectArtifact(db, store, hash)).toBe(false);
    expect(await isStored(hash)).toBe(true);
  });

  test('waits for a transaction that is storing the same bytes', async () => {
    const { claim } = await insertRunningRun(db);
    const file = await writeNew();
    let collected: Promise<boolean> | undefined;
    await db.transaction(async (tx) => {
      await storeArtifact(tx, store, file, 'MODEL');
      collected = collectArtifact(db, store, file.sha256);
      await Promise.race([collected, expect.poll(countWaiting).toBe(1)]);
      await finishRun(tx, claim, { artifactHash: file.sha256 });
    });
    expect(await collected).toBe(false);
    expect(await isStored(file.sha256)).toBe(true);
  });
});

test('a sweep deletes what is old and unused, and nothing else', async () => {
  const used = await writeNew();
  const unused = await writeNew();
  const [oldOrphan, youngOrphan] = [await writeNew(), await writeNew()];
  const { claim } = await insertRunningRun(db);
  await replaceCheckpoint(db, store, claim, 1, used);
  await db.transaction((tx) => storeArtifact(tx, store, unused, 'MODEL'));
  for (const orphan of [oldOrphan!, youngOrphan!]) await store.put(orphan);
  await utimes(await store.path(oldOrphan!.sha256), LONG_AGO, LONG_AGO);
  await utimes(await store.path(used.sha256), LONG_AGO, LONG_AGO);
  const incoming = join(root, 'store', 'incoming');
  await mkdir(incoming, { recursive: true });
  for (const name of ['old', 'young']) await writeFile(join(incoming, name), 'half');
  await utimes(join(incoming, 'old'), LONG_AGO, LONG_AGO);

  expect((await sweepArtifacts(db, store)).items).toBe(1);
  expect(await Promise.all([used, unused, oldOrphan!, youngOrphan!].map((f) => isStored(f.sha256)))).toEqual([
    ...[true, true, false, true],
  ]);
  expect(await isThere(join(incoming, 'old'))).toBe(false);
  expect(await isThere(join(incoming, 'young'))).toBe(true);

  await sweepArtifacts(db, store, new Date(Date.now() + 60_000));
  expect(await Promise.all([used, unused, youngOrphan!].map((f) => isStored(f.sha256)))).toEqual([
    ...[true, false, false],
  ]);
});
