/** Files of a store elsewhere, on a disk of this machine: as many as fit, those used last. */
import { mkdir, readdir, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { ArtifactUnusable } from '../artifactIntegrity.ts';
import { type DirectoryStore, type NewFile, openArtifactStore } from '../artifactStore.ts';

/** A file that was asked for may be opened a little later; other processes say so by its time. */
const GRACE_MS = 10 * 60_000;
/** Beside the files: an empty one for each, as old as its last use. Their own times say when they were last checked. */
const USED = 'used';
/** How often files that are held are marked as used, for other processes that share the directory. */
const MARK_MS = 60_000;

/** Several processes may share a directory. What is in use stays, also above the bound. */
export class FileCache {
  readonly #root: string;
  readonly #files: DirectoryStore;
  readonly #maxBytes: number;
  /** How many hold each file. */
  readonly #held = new Map<string, number>();
  #trimming: Promise<void> = Promise.resolve();
  readonly #marking: NodeJS.Timeout;

  static async open(root: string, maxBytes: number): Promise<FileCache> {
    await mkdir(join(root, USED), { recursive: true });
    return new FileCache(root, await openArtifactStore(root), maxBytes);
  }

  private constructor(root: string, files: DirectoryStore, maxBytes: number) {
    this.#root = root;
    this.#files = files;
    this.#maxBytes = maxBytes;
    this.#marking = setInterval(() => void this.#mark(), MARK_MS).unref();
  }

  newPath(): string {
    return this.#files.newPath();
  }

  /** Where the file is, whose bytes are what the hash says; null where it must be fetched. */
  async path(hash: string): Promise<string | null> {
    try {
      const path = await this.#files.path(hash);
      await this.#touch(hash);
      return path;
    } catch (error) {
      // A damaged one has been moved away, and goes at the next trim.
      if (error instanceof ArtifactUnusable) return null;
      throw error;
    }
  }

  /** Takes a file over whose bytes were just found to be right, and makes room for it. */
  async add(file: NewFile): Promise<string> {
    await this.#files.adopt(file);
    const path = await this.#files.path(file.sha256);
    await this.#touch(file.sha256);
    await this.trim();
    return path;
  }

  async delete(hash: string): Promise<void> {
    await this.#files.delete(hash);
    await rm(join(this.#root, USED, hash), { force: true });
  }

  hold(hash: string): void {
    this.#held.set(hash, (this.#held.get(hash) ?? 0) + 1);
  }

  release(hash: string): void {
    const left = (this.#held.get(hash) ?? 0) - 1;
    if (left > 0) this.#held.set(hash, left);
    else this.#held.delete(hash);
  }

  /** Deletes those that were used longest ago, until what is left fits. */
  trim(): Promise<void> {
    this.#trimming = this.#trimming.then(() => this.#trim()).catch(() => undefined);
    return this.#trimming;
  }

  close(): void {
    clearInterval(this.#marking);
  }

  async #trim(): Promise<void> {
    for await (const { name } of this.#files.listDamaged()) await this.#files.deleteDamaged(name);
    await this.#forgetUnfinished();
    const found: { hash: string; bytes: number; usedAt: number }[] = [];
    for await (const { hash, bytes, modifiedAt } of this.#files.list(new Date(0))) {
      const used = await stat(join(this.#root, USED, hash)).catch(() => null);
      found.push({ hash, bytes, usedAt: (used?.mtime ?? modifiedAt).getTime() });
    }
    found.sort((a, b) => a.usedAt - b.usedAt);
    let total = found.reduce((sum, { bytes }) => sum + bytes, 0);
    for (const { hash, bytes, usedAt } of found) {
      if (total <= this.#maxBytes) return;
      if (this.#held.has(hash) || Date.now() - usedAt < GRACE_MS) continue;
      await this.delete(hash);
      total -= bytes;
    }
  }

  /** What a process that ended left half written. */
  async #forgetUnfinished(): Promise<void> {
    const directory = join(this.#root, 'incoming');
    for (const name of await readdir(directory)) {
      const path = join(directory, name);
      const found = await stat(path).catch(() => null);
      if (found && Date.now() - found.mtimeMs > 24 * 60 * 60_000) await rm(path, { force: true });
    }
  }

  async #mark(): Promise<void> {
    for (const hash of this.#held.keys()) await this.#touch(hash);
  }

  /** Marks it as used now. */
  async #touch(hash: string): Promise<void> {
    await writeFile(join(this.#root, USED, hash), '').catch(() => undefined);
  }
}
