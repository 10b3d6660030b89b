/**
 * Whether an artifact store is this database's own: one id stands in both, a row and a file. A worker with another
 * directory would end runs well and leave them without files; a sweep would delete those of another installation.
 */
import { randomUUID } from 'node:crypto';
import { link, open, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
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
 * Ties the store in `root` and the database together on the first start, and holds one to the other on every later one.
 *
 * @throws AppError CONFLICT naming `DATA_DIR` and `DATABASE_URL` if they belong to different installations; UNAVAILABLE
 *   if the store cannot be written.
 */
export async function guardStore(db: Executor, store: ArtifactStore, root: string): Promise<StoreGuard> {
  await probe(root);
  const id = await agree(db, store, root);
  return {
    async check() {
      const found = await readMarker(root);
      if (found !== id) throw new AppError('UNAVAILABLE', `artifact store ${root}: ${describe(found)}`);
      await probe(root);
    },
  };
}

async function agree(db: Executor, store: ArtifactStore, root: string): Promise<string> {
  const [given, found] = [await readRow(db), await readMarker(root)];
  if (given !== null && given === found) return given;
  if (found !== null) throw mismatch(root, given, found);
  // No marker: a new store, or one from before there were any.
  const known = await newestArtifacts(db);
  if (known.length > 0 && !(await hasOneOf(store, known))) throw mismatch(root, given, null);
  const id = given ?? (await makeRow(db));
  const written = await makeMarker(root, id);
  if (written !== id) throw mismatch(root, id, written);
  return id;
}

function mismatch(root: string, given: string | null, found: string | null): AppError {
  const ours = given
    ? `the database of DATABASE_URL is that of installation ${given}`
    : 'the database of DATABASE_URL is new';
  return new AppError(
    'CONFLICT',
    `DATA_DIR: the artifact store ${root} ${found ? `is that of installation ${found}` : 'has none of the files that the database knows'}, but ${ours}. All servers of one DATABASE_URL must share one artifact store: set DATA_DIR so that DATA_DIR/artifacts is that store (of a new database: an empty directory), or DATABASE_URL to its database.`,
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
async function readMarker(root: string): Promise<string | null> {
  const path = join(root, MARKER);
  const text = await readFile(path, 'utf8').catch((cause: NodeJS.ErrnoException) => {
    if (cause.code === 'ENOENT') return null;
    throw unusable(root, cause);
  });
  if (text === null) return null;
  const id = text.trim();
  if (!UUID.test(id))
    throw new AppError('CONFLICT', `DATA_DIR: ${path} does not hold the id of an installation`);
  return id;
}

/** Written whole or not at all, and never over another's; returns what then stands there. */
async function makeMarker(root: string, id: string): Promise<string | null> {
  const draft = join(root, 'incoming', randomUUID());
  try {
    await write(draft, `${id}\n`);
    await link(draft, join(root, MARKER)).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== 'EEXIST') throw error;
    });
  } catch (cause) {
    throw unusable(root, cause);
  } finally {
    await rm(draft, { force: true }).catch(() => undefined);
  }
  return readMarker(root);
}

/** Writes a small file and removes it. */
async function probe(root: string): Promise<void> {
  const path = join(root, 'incoming', `probe-${randomUUID()}`);
  try {
    await write(path, 'probe');
  } catch (cause) {
    throw unusable(root, cause);
  } finally {
    await rm(path, { force: true }).catch(() => undefined);
  }
}

async function write(path: string, text: string): Promise<void> {
  const handle = await open(path, 'wx');
  try {
    await handle.writeFile(text);
    await handle.sync();
  } finally {
    await handle.close();
  }
}

const REASONS: Readonly<Record<string, string>> = {
  ENOSPC: 'its disk is full',
  EDQUOT: 'its quota is used up',
  EROFS: 'it is on a file system that is read-only',
  EACCES: 'this process may not write there',
  EPERM: 'this process may not write there',
  ENOENT: 'it is gone; is the right directory mounted?',
};

function unusable(root: string, cause: unknown): AppError {
  const { code, message } = cause as NodeJS.ErrnoException;
  const reason = (code && REASONS[code]) ?? message;
  return new AppError('UNAVAILABLE', `artifact store ${root}: it cannot be used: ${reason}`, { cause });
}
