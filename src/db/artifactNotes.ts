/** Short texts beside the files of a directory, and whether anything can be written there. */
import { randomUUID } from 'node:crypto';
import { link, open, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { AppError } from '../errors.ts';

export interface StoreNotes {
  /** A short text that stands beside the files; null where there is none. @throws AppError UNAVAILABLE. */
  readNote(name: string): Promise<string | null>;
  /** Writes one whole or not at all, and never over another. @throws AppError UNAVAILABLE. */
  makeNote(name: string, text: string): Promise<void>;
  /** Writes something small and removes it. @throws AppError UNAVAILABLE saying why it cannot be. */
  probe(): Promise<void>;
}

export function directoryNotes(root: string): StoreNotes {
  return {
    readNote: (name) => readNote(root, name),
    makeNote: (name, text) => makeNote(root, name, text),
    probe: () => probe(root),
  };
}

function readNote(root: string, name: string): Promise<string | null> {
  return readFile(join(root, name), 'utf8').catch((cause: NodeJS.ErrnoException) => {
    if (cause.code === 'ENOENT') return null;
    throw unusable(root, cause);
  });
}

/** Written whole or not at all, and never over another's. */
async function makeNote(root: string, name: string, text: string): Promise<void> {
  const draft = join(root, 'incoming', randomUUID());
  try {
    await write(draft, text);
    await link(draft, join(root, name)).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== 'EEXIST') throw error;
    });
  } catch (cause) {
    throw unusable(root, cause);
  } finally {
    await rm(draft, { force: true }).catch(() => undefined);
  }
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
