import { randomBytes } from 'node:crypto';
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { type ArtifactStore, openArtifactStore } from '../../src/db/artifactStore.ts';
import type { Database } from '../../src/db/client.ts';
import { guardStore } from '../../src/db/storeIdentity.ts';
import { artifacts, installation } from '../../src/db/tables/index.ts';
import { createReadiness } from '../../src/readiness.ts';
import { createTestDatabase } from '../helpers/database.ts';
import { makeTempDirectory } from '../helpers/tempDirectory.ts';

let database: Database;
const directories: string[] = [];

beforeAll(async () => {
  database = await createTestDatabase();
});
afterEach(async () => {
  await database.db.delete(installation);
  await database.db.delete(artifacts);
  for (const directory of directories.splice(0)) await rm(directory, { recursive: true });
});
afterAll(() => database.close());

async function makeStore(): Promise<{ root: string; store: ArtifactStore }> {
  const root = await makeTempDirectory('identity');
  directories.push(root);
  return { root, store: await openArtifactStore(root) };
}

const guard = ({ store }: { store: ArtifactStore }) => guardStore(database.db, store);
const marker = ({ root }: { root: string }) => readFile(join(root, 'INSTALLATION'), 'utf8');

test('any number of first starts at once tie the store and the database together', async () => {
  const made = await makeStore();
  await Promise.all([1, 2, 3, 4].map(() => guard(made)));
  const rows = await database.db.select().from(installation);
  expect(rows).toHaveLength(1);
  expect(await marker(made)).toBe(`${rows[0]!.id}\n`);
  await (await guard(made)).check();
  // What sweeps the store sees the files alone.
  for await (const file of made.store.list(new Date())) expect.unreachable(JSON.stringify(file));
});

test('the store of another installation is refused, naming both variables', async () => {
  const [own, other] = [await makeStore(), await makeStore()];
  await guard(other);
  await database.db.delete(installation);
  await guard(own);
  await expect(guard(other)).rejects.toMatchObject({
    code: 'CONFLICT',
    message: expect.stringMatching(
      /DATA_DIR: .*is that of installation .*DATABASE_URL is that of installation/,
    ),
  });
  // A new database with an old store: its sweep would delete the files of another.
  await database.db.delete(installation);
  await expect(guard(other)).rejects.toThrow(/DATABASE_URL is new/);
});

test('a directory without any of the files that the database knows is refused; an older store is taken', async () => {
  const [own, empty] = [await makeStore(), await makeStore()];
  const hash = randomBytes(32).toString('hex');
  await database.db.insert(artifacts).values({ hash, bytes: 4, kind: 'MODEL' });
  await expect(guard(empty)).rejects.toThrow(/has none of the files that the database knows/);
  const path = join(own.root, hash.slice(0, 2), `${hash}.safetensors`);
  await mkdir(join(own.root, hash.slice(0, 2)));
  await writeFile(path, 'file');
  await guard(own);
  await expect(guard(empty)).rejects.toThrow(/has none of the files/);
});

test('a store that went away, or cannot be written, is not ready, and is again', async () => {
  const made = await makeStore();
  const guarded = await guard(made);
  const id = await marker(made);
  const readiness = () => createReadiness(database.connectionString, guarded);
  const check = async () => {
    const one = readiness();
    await one.check().finally(() => one.close());
  };
  await check();
  await rm(join(made.root, 'INSTALLATION'));
  await expect(check()).rejects.toThrow(/artifact store .* is missing; is the right directory mounted/);
  await writeFile(join(made.root, 'INSTALLATION'), id);
  await rm(join(made.root, 'incoming'), { recursive: true });
  await expect(check()).rejects.toThrow(/artifact store .*cannot be used: it is gone/);
  await openArtifactStore(made.root);
  await check();
});

test('readiness does not wait for a pool that is busy, and names the database when it is away', async () => {
  const guarded = await guard(await makeStore());
  const clients = await Promise.all(
    Array.from({ length: database.pool.options.max }, () => database.pool.connect()),
  );
  const readiness = createReadiness(database.connectionString, guarded);
  await readiness.check();
  for (const client of clients) client.release();
  await readiness.close();
  const away = createReadiness('postgresql://x@%2Fnowhere/x', guarded);
  await expect(away.check()).rejects.toMatchObject({
    code: 'UNAVAILABLE',
    message: 'database: it does not answer',
  });
  await away.close();
});
