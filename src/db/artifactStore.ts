/** Files named by what is in them, in a directory that all machines of one installation share. */
import { createHash, randomUUID } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { access, copyFile, mkdir, open, readdir, rename, rm, stat, utimes } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { AppError } from '../errors.ts';

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
  modifiedAt: Date;
}

/** Has no memory of its own: which files are in use stands in the database (`queries/artifacts.ts`). */
export interface ArtifactStore {
  /**
   * Takes the file over: afterwards it is in the store, on disk, and gone from where it was.
   *
   * @throws AppError INTERNAL if its bytes are not what `sha256` says.
   */
  put(file: NewFile): Promise<void>;
  /** A path of one's own at which to write what `put` is to take; forgotten when it is left there. */
  newPath(): string;
  /**
   * Where to read the file.
   *
   * @throws AppError UNAVAILABLE if it is not there.
   */
  path(hash: string): Promise<string>;
  delete(hash: string): Promise<void>;
  /** Every complete file; forgets incomplete ones last written before `abandonedBefore`. */
  list(abandonedBefore: Date): AsyncIterable<StoredFile>;
}

/** Opens, or makes, a store in `root`. */
export async function openArtifactStore(root: string): Promise<ArtifactStore> {
  await mkdir(join(root, 'incoming'), { recursive: true });
  const locate = (hash: string) => join(root, hash.slice(0, 2), `${hash}${SUFFIX}`);
  return {
    newPath: () => join(root, 'incoming', randomUUID()),
    put: (file) => put(file, locate(file.sha256), join(root, 'incoming')),
    async path(hash) {
      const path = locate(hash);
      await access(path).catch((cause) => {
        throw new AppError('UNAVAILABLE', `artifact ${hash} is missing from the store`, { cause });
      });
      return path;
    },
    delete: (hash) => rm(locate(hash), { force: true }),
    list: (abandonedBefore) => list(root, abandonedBefore),
  };
}

async function put(file: NewFile, target: string, incoming: string): Promise<void> {
  // Also where an earlier attempt got this far, but its transaction did not.
  if (await touch(target)) return rm(file.path, { force: true });
  const found = await hashFile(file.path);
  if (found !== file.sha256) {
    throw new AppError('INTERNAL', `${file.path} has SHA-256 ${found}, its writer said ${file.sha256}`);
  }
  await mkdir(dirname(target), { recursive: true });
  // First into the store's own file system, so that the last step is atomic.
  const staged = join(incoming, `${file.sha256}-${randomUUID()}`);
  await move(file.path, staged);
  await sync(staged);
  await rename(staged, target);
  // Windows cannot open directories, and keeps its renames without being told.
  if (process.platform !== 'win32') await sync(dirname(target));
}

/** Freshens a file that is there already, so that a sweep takes it for new. */
async function touch(path: string): Promise<boolean> {
  const now = new Date();
  return utimes(path, now, now).then(
    () => true,
    () => false,
  );
}

async function move(from: string, to: string): Promise<void> {
  try {
    await rename(from, to);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EXDEV') throw error;
    await copyFile(from, to);
    await rm(from);
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

async function hashFile(path: string): Promise<string> {
  const hash = createHash('sha256');
  await pipeline(createReadStream(path, { highWaterMark: 1 << 20 }), hash);
  return hash.digest('hex');
}

async function* list(root: string, abandonedBefore: Date): AsyncIterable<StoredFile> {
  for (const directory of await readdir(root)) {
    for (const name of await readdir(join(root, directory))) {
      const path = join(root, directory, name);
      // Another machine's sweep may have been faster.
      const modifiedAt = (await stat(path).catch(() => null))?.mtime;
      if (!modifiedAt) continue;
      const hash = NAME.exec(name)?.[1];
      if (hash) yield { hash, modifiedAt };
      else if (modifiedAt < abandonedBefore) await rm(path, { force: true });
    }
  }
}
