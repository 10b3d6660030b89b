/** Whether stored files are still what their names say. Disks rot, people copy over files, copies break off. */
import { createHash, randomUUID } from 'node:crypto';
import { mkdir, open, rename, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { AppError } from '../errors.ts';

/** Where damaged files go, in the store's root; for people to look at and to delete. */
export const DAMAGED = 'damaged';

const READ_BYTES = 1 << 20;

/** A stored file that is gone, or no longer what it was; it is there again when its content is made again. */
export class ArtifactUnusable extends AppError {
  /** @param of What the file is, such as `model "x"`. */
  constructor(hash: string, of: string, why: string, cause?: unknown) {
    super(
      'UNAVAILABLE',
      `${of} cannot be read: its file, artifact ${hash}, ${why}. It is restored when its content is made again: by the same run with the same settings and seed, or by the same import.`,
      { cause },
    );
    this.name = 'ArtifactUnusable';
  }
}

/** Why a file is not usable; null where it is. */
type Verdict = { why: string; cause?: unknown } | null;

/** Remembers which files this process has found to be whole, for as long as nobody touches them. */
export class ArtifactIntegrity {
  readonly #root: string;
  /** What the file was like, by path, when its bytes were found to be right. */
  readonly #whole = new Map<string, string>();
  /** Checks under way, by path: whoever asks meanwhile waits for the same one. */
  readonly #checks = new Map<string, Promise<Verdict>>();

  /** @param root The store's directory. */
  constructor(root: string) {
    this.#root = root;
  }

  /** The bytes of this file have been read, and are right. */
  async vouch(path: string): Promise<void> {
    this.#whole.set(path, await fingerprint(path));
  }

  /** Reads the file, unless it is the one read before, and moves it away if its bytes are not of this hash. */
  check(path: string, hash: string): Promise<Verdict> {
    const running = this.#checks.get(path);
    if (running) return running;
    const check = this.#check(path, hash).finally(() => this.#checks.delete(path));
    this.#checks.set(path, check);
    return check;
  }

  async #check(path: string, hash: string): Promise<Verdict> {
    try {
      const before = await fingerprint(path);
      if (this.#whole.get(path) === before) return null;
      this.#whole.delete(path);
      const found = await hashFile(path);
      const after = await fingerprint(path);
      // Somebody is replacing it: what was read belongs to neither.
      if (before !== after) return this.#check(path, hash);
      if (found !== hash)
        return { why: `is damaged: its bytes have SHA-256 ${found}; ${await this.#moveAway(path, hash)}` };
      this.#whole.set(path, after);
      return null;
    } catch (cause) {
      const { code } = cause as NodeJS.ErrnoException;
      if (code === 'ENOENT') return { why: 'is missing from the store', cause };
      if (code === undefined) throw cause;
      return { why: `cannot be opened (${code})`, cause };
    }
  }

  /** Out of the way of the same content, made again. */
  async #moveAway(path: string, hash: string): Promise<string> {
    const name = `${hash}-${randomUUID()}`;
    try {
      await mkdir(join(this.#root, DAMAGED), { recursive: true });
      await rename(path, join(this.#root, DAMAGED, name));
      return `it was moved to ${DAMAGED}/${name} in the store`;
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      // Another process has done so.
      if (code === 'ENOENT') return `it was moved to ${DAMAGED} in the store`;
      return `it could not be moved to ${DAMAGED} in the store (${code})`;
    }
  }
}

/** Changes whenever the file is written to or replaced, also by a file of equal size and time of change. */
async function fingerprint(path: string): Promise<string> {
  const { dev, ino, size, mtimeNs, ctimeNs } = await stat(path, { bigint: true });
  return [dev, ino, size, mtimeNs, ctimeNs].join(' ');
}

/** SHA-256 of the file's bytes, in lower-case hex. */
export async function hashFile(path: string): Promise<string> {
  const hash = createHash('sha256');
  const buffer = Buffer.allocUnsafeSlow(READ_BYTES);
  const file = await open(path);
  try {
    for (;;) {
      const { bytesRead } = await file.read(buffer, 0, READ_BYTES, null);
      if (bytesRead === 0) return hash.digest('hex');
      hash.update(buffer.subarray(0, bytesRead));
    }
  } finally {
    await file.close();
  }
}
