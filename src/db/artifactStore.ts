/** Files named by what is in them, in a place that all machines of one installation share: here, a directory. */
import { randomUUID } from 'node:crypto';
import { access, copyFile, mkdir, open, readdir, rename, rm, stat, utimes } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { AppError } from '../errors.ts';
import { ArtifactIntegrity, ArtifactUnusable, DAMAGED, hashFile } from './artifactIntegrity.ts';
import { directoryNotes, type StoreNotes } from './artifactNotes.ts';

const SUFFIX = '.safetensors';
const NAME = /^([0-9a-f]{64})\.safetensors$/;

/** A finished file outside the store. */
export interface NewFile {
  path: string;
  /** Lower-case hex, as its writer computed it. */
  sha256: string;
  bytes: number;
}

export interface StoredFile {
  hash: string;
  bytes: number;
  modifiedAt: Date;
}

/** Has no memory of its own: which files are in use stands in the database (`queries/artifacts.ts`). */
export interface ArtifactStore extends StoreNotes {
  /** The directory, or its address. */
  readonly place: string;
  /**
   * Takes the file over: afterwards it is in the store, on disk, and gone from where it was. A damaged file in its
   * place is replaced by it.
   *
   * @throws AppError INTERNAL if its bytes are not what `sha256` says; UNAVAILABLE where the store may not be written.
   */
  put(file: NewFile): Promise<void>;
  /** A path of one's own at which to write what `put` is to take; forgotten when it is left there. */
  newPath(): string;
  /**
   * Where to read the file, whose bytes are what the hash says: all are read when a process first opens it that has not
   * stored it itself, and again when it has been written to. A damaged file is moved out of the way.
   *
   * @param of What it is, for the message: `model "x"`.
   * @throws {ArtifactUnusable} UNAVAILABLE if it is not there, or damaged.
   */
  path(hash: string, of?: string): Promise<string>;
  /** Whether there is a file of that name, whatever its bytes. */
  has(hash: string): Promise<boolean>;
  delete(hash: string): Promise<void>;
  /** Every complete file; forgets incomplete ones last written before `abandonedBefore`. */
  list(abandonedBefore: Date): AsyncIterable<StoredFile>;
  /** Files that were moved out of the way, for people to look at. */
  listDamaged(): AsyncIterable<DamagedFile>;
  deleteDamaged(name: string): Promise<void>;
  /** The same store, what `path` gives of which stays where it is until `release`. */
  lease(): ArtifactLease;
}

export interface ArtifactLease {
  store: ArtifactStore;
  release(): void;
}

export interface DamagedFile {
  name: string;
  bytes: number;
  /** When it was last what it is now. */
  modifiedAt: Date;
}

export interface DirectoryStore extends ArtifactStore {
  /**
   * As `put`, for a cache: the bytes were just found to be what `sha256` says and are not read again, and the file is
   * not waited for to be on disk, for where a machine breaks down amid that it can be had again.
   */
  adopt(file: NewFile): Promise<void>;
}

/** Opens, or makes, a store in `root`. */
export async function openArtifactStore(root: string): Promise<DirectoryStore> {
  await mkdir(join(root, 'incoming'), { recursive: true });
  const integrity = new ArtifactIntegrity(root);
  const locate = (hash: string) => join(root, hash.slice(0, 2), `${hash}${SUFFIX}`);
  // Also where an earlier attempt got this far, but its transaction did not.
  const isThere = async (target: string, { path, sha256 }: NewFile) => {
    const isWhole = (await integrity.check(target, sha256)) === null && (await touch(target));
    if (isWhole) await rm(path, { force: true });
    return isWhole;
  };
  const place = async (file: NewFile, target: string, isLasting: boolean) => {
    const staged = join(root, 'incoming', `${file.sha256}-${randomUUID()}`);
    const isSame = await put(file, { staged, target, isLasting }).catch((error) => explain(error, root));
    if (isSame) await integrity.vouch(target);
  };
  const store: DirectoryStore = {
    ...directoryNotes(root),
    place: root,
    // Nobody takes a file away that something refers to.
    lease: () => ({ store, release: () => undefined }),
    newPath: () => join(root, 'incoming', randomUUID()),
    async put(file) {
      const target = locate(file.sha256);
      if (await isThere(target, file)) return;
      await checkBytes(file);
      await place(file, target, true);
    },
    async adopt(file) {
      const target = locate(file.sha256);
      if (!(await isThere(target, file))) await place(file, target, false);
    },
    async path(hash, of = 'what is asked for') {
      const path = locate(hash);
      const verdict = await integrity.check(path, hash);
      if (verdict) throw new ArtifactUnusable(hash, of, verdict.why, verdict.cause);
      return path;
    },
    has: (hash) =>
      access(locate(hash)).then(
        () => true,
        () => false,
      ),
    delete: (hash) => rm(locate(hash), { force: true }),
    list: (abandonedBefore) => list(root, abandonedBefore),
    listDamaged: () => listDamaged(join(root, DAMAGED)),
    deleteDamaged: (name) => rm(join(root, DAMAGED, basename(name)), { force: true }),
  };
  return store;
}

async function checkBytes({ path, sha256 }: NewFile): Promise<void> {
  const found = await hashFile(path);
  if (found !== sha256)
    throw new AppError('INTERNAL', `${path} has SHA-256 ${found}, its writer said ${sha256}`);
}

/** False where the bytes were copied, and may have become others on the way. */
async function put(
  file: NewFile,
  { staged, target, isLasting }: { staged: string; target: string; isLasting: boolean },
): Promise<boolean> {
  await mkdir(dirname(target), { recursive: true });
  // First into the store's own file system, so that the last step is atomic.
  const isSame = await move(file.path, staged);
  if (isLasting) await sync(staged);
  await rename(staged, target);
  // Windows cannot open directories, and keeps its renames without being told.
  if (isLasting && process.platform !== 'win32') await sync(dirname(target));
  return isSame;
}

/** Freshens a file that is there already, so that a sweep takes it for new. */
async function touch(path: string): Promise<boolean> {
  const now = new Date();
  return utimes(path, now, now).then(
    () => true,
    () => false,
  );
}

/** False where it had to be copied. */
async function move(from: string, to: string): Promise<boolean> {
  try {
    await rename(from, to);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EXDEV') throw error;
    await copyFile(from, to);
    await rm(from);
    return false;
  }
}

async function sync(path: string): Promise<void> {
  const handle = await open(path, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** Says what is wrong with the store; a full disk is left to whoever waits for room. */
function explain(error: unknown, root: string): never {
  const { code, message } = error as NodeJS.ErrnoException;
  if (code !== 'EROFS' && code !== 'EACCES' && code !== 'EPERM') throw error;
  throw new AppError(
    'UNAVAILABLE',
    `the artifact store cannot be written (${code}); DATA_DIR must be writable for the server`,
    { cause: new Error(`${root}: ${message}`, { cause: error }) },
  );
}

async function* list(root: string, abandonedBefore: Date): AsyncIterable<StoredFile> {
  for (const entry of await readdir(root, { withFileTypes: true })) {
    // Beside the directories lies the installation's marker.
    if (!entry.isDirectory() || entry.name === DAMAGED) continue;
    const directory = entry.name;
    for (const name of await readdir(join(root, directory))) {
      const path = join(root, directory, name);
      // Another machine's sweep may have been faster.
      const found = await stat(path).catch(() => null);
      if (!found) continue;
      const hash = NAME.exec(name)?.[1];
      if (hash) yield { hash, bytes: found.size, modifiedAt: found.mtime };
      else if (found.mtime < abandonedBefore) await rm(path, { force: true });
    }
  }
}

async function* listDamaged(directory: string): AsyncIterable<DamagedFile> {
  for (const name of await readdir(directory).catch(() => [])) {
    const found = await stat(join(directory, name)).catch(() => null);
    // The time of its move: its content may be old.
    if (found?.isFile()) yield { name, bytes: found.size, modifiedAt: found.ctime };
  }
}
