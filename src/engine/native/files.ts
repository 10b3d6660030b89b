/** Files of the builder: temporary ones that are renamed into place, hashes and sizes. */
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { access, mkdir, mkdtemp, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';

/** Where unfinished things are, on the same file system as the finished ones; whoever has the lock may clear it. */
export function temporaryDir(root: string): string {
  return join(root, 'unfinished');
}

/** Runs `work` with an empty directory that is removed afterwards; what shall stay is renamed out of it. */
export async function inTemporaryDir(
  root: string,
  work: (directory: string) => Promise<void>,
): Promise<void> {
  await mkdir(temporaryDir(root), { recursive: true });
  const directory = await mkdtemp(join(temporaryDir(root), 'part-'));
  try {
    await work(directory);
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

/** Lower-case hex of a file's SHA-256. */
export async function sha256Of(path: string): Promise<string> {
  const hash = createHash('sha256');
  await pipeline(createReadStream(path), hash);
  return hash.digest('hex');
}

export function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}

export function megabytes(bytes: number): string {
  return bytes < 1e9 ? `${Math.round(bytes / 1e6)} MB` : `${(bytes / 1e9).toFixed(1)} GB`;
}
