/**
 * Whether an artifact store is this database's own: one id stands in both, a row and a file. A worker with another
 * directory would end runs well and leave them without files; a sweep would delete those of another installation.
 */
import { randomUUID } from 'node:crypto';
import { desc } from 'drizzle-orm';
import { AppError } from '../errors.ts';
import type { ArtifactStore } from './artifactStore.ts';
import type { Executor } from './client.ts';
import { artifacts, installation } from './tables/index.ts';

/** In the store's directory, beside the files. */
const MARKER = 'INSTALLATION';
const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;
/** Newest artifacts of which the store must have one, to be taken for the database's own without a marker. */
const LOOKED_FOR = 20;

export interface StoreGuard {
  /**
   * Resolves when the store can be written and is still the database's own.
   *
   * @throws AppError UNAVAILABLE saying what is wrong with which directory.
   */
  check(): Promise<void>;
}

/**
 * Ties the store and the database together on the first start, and holds one to the other on every later one.
 *
 * @throws AppError CONFLICT naming `DATA_DIR` and `DATABASE_URL` if they belong to different installations; UNAVAILABLE
 *   if the store cannot be written.
 */
export async function guardStore(db: Executor, store: ArtifactStore): Promise<StoreGuard> {
  await store.probe();
  const id = await agree(db, store);
  return {
    async check() {
      const found = await readMarker(store);
      if (found !== id)
        throw new AppError('UNAVAILABLE', `artifact store ${store.place}: ${describe(found)}`);
      await store.probe();
    },
  };
}

async function agree(db: Executor, store: ArtifactStore): Promise<string> {
  const [given, found] = [await readRow(db), await readMarker(store)];
  if (given !== null && given === found) return given;
  if (found !== null) throw mismatch(store.place, given, found);
  // No marker: a new store, or one from before there were any.
  const known = await newestArtifacts(db);
  if (known.length > 0 && !(await hasOneOf(store, known))) throw mismatch(store.place, given, null);
  const id = given ?? (await makeRow(db));
  await store.makeNote(MARKER, `${id}\n`);
  const written = await readMarker(store);
  if (written !== id) throw mismatch(store.place, id, written);
  return id;
}

function mismatch(place: string, given: string | null, found: string | null): AppError {
  const ours = given
    ? `the database of DATABASE_URL is that of installation ${given}`
    : 'the database of DATABASE_URL is new';
  return new AppError(
    'CONFLICT',
    `ARTIFACTS_URL, DATA_DIR: the artifact store ${place} ${found ? `is that of installation ${found}` : 'has none of the files that the database knows'}, but ${ours}. All servers of one DATABASE_URL must share one artifact store: set ARTIFACTS_URL to that store, or where it is not set DATA_DIR so that DATA_DIR/artifacts is (of a new database: an empty one), or DATABASE_URL to its database.`,
  );
}

function describe(found: string | null): string {
  return found === null
    ? `its file ${MARKER} is missing; is the right directory mounted?`
    : `it now is that of installation ${found}`;
}

async function readRow(db: Executor): Promise<string | null> {
  const [row] = await db.select({ id: installation.id }).from(installation);
  return row?.id ?? null;
}

/** Of several that start at once, one makes it. */
async function makeRow(db: Executor): Promise<string> {
  await db.insert(installation).values({ id: randomUUID() }).onConflictDoNothing();
  return (await readRow(db))!;
}

async function newestArtifacts(db: Executor): Promise<string[]> {
  const rows = await db
    .select({ hash: artifacts.hash })
    .from(artifacts)
    .orderBy(desc(artifacts.createdAt))
    .limit(LOOKED_FOR);
  return rows.map(({ hash }) => hash);
}

async function hasOneOf(store: ArtifactStore, hashes: readonly string[]): Promise<boolean> {
  return (await Promise.all(hashes.map((hash) => store.has(hash)))).includes(true);
}

/** Null where there is none. */
async function readMarker(store: ArtifactStore): Promise<string | null> {
  const text = await store.readNote(MARKER);
  if (text === null) return null;
  const id = text.trim();
  if (!UUID.test(id))
    throw new AppError(
      'CONFLICT',
      `DATA_DIR: ${store.place}/${MARKER} does not hold the id of an installation`,
    );
  return id;
}
