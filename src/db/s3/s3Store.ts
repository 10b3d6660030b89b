/** An artifact store in an S3-compatible bucket, with a cache on this machine from which files are read. */
import { randomUUID } from 'node:crypto';
import { rm } from 'node:fs/promises';
import { CopyObjectCommand, type S3ClientConfig } from '@aws-sdk/client-s3';
import { AppError } from '../../errors.ts';
import { ArtifactUnusable, DAMAGED, hashFile } from '../artifactIntegrity.ts';
import type { ArtifactLease, ArtifactStore, NewFile } from '../artifactStore.ts';
import { Away } from '../transient.ts';
import { Bucket } from './bucket.ts';
import { FileCache } from './cache.ts';
import { download } from './download.ts';
import { abortUploads, upload } from './upload.ts';

const KEY = /^[0-9a-f]{2}\/([0-9a-f]{64})\.safetensors$/;
/** A download that does not come to the right bytes is tried once more, before the object is blamed. */
const DOWNLOADS = 2;

export interface S3StoreOptions {
  /** `s3://bucket/prefix`. */
  url: string;
  /** Directory on a disk of this machine; processes may share it. */
  cacheDir: string;
  cacheBytes: number;
  /** For tests. */
  client?: S3ClientConfig;
  partBytes?: number;
}

export interface S3Store extends ArtifactStore {
  close(): void;
}

/** Opens a store; the bucket must exist. */
export async function openS3Store(options: S3StoreOptions): Promise<S3Store> {
  const bucket = new Bucket(options.url, options.client);
  const cache = await FileCache.open(options.cacheDir, options.cacheBytes);
  return new Store(bucket, cache, options.partBytes);
}

const keyOf = (hash: string) => `${hash.slice(0, 2)}/${hash}.safetensors`;

class Store implements S3Store {
  readonly place: string;
  readonly #bucket: Bucket;
  readonly #cache: FileCache;
  readonly #partBytes: number | undefined;
  /** By hash: whoever asks meanwhile waits for the same one. */
  readonly #downloads = new Map<string, Promise<string>>();
  #isProbed = false;

  constructor(bucket: Bucket, cache: FileCache, partBytes: number | undefined) {
    this.place = bucket.url;
    this.#bucket = bucket;
    this.#cache = cache;
    this.#partBytes = partBytes;
  }

  newPath(): string {
    return this.#cache.newPath();
  }

  async put(file: NewFile): Promise<void> {
    const found = await hashFile(file.path);
    if (found !== file.sha256)
      throw new AppError('INTERNAL', `${file.path} has SHA-256 ${found}, its writer said ${file.sha256}`);
    const key = keyOf(file.sha256);
    const there = await this.#bucket.head(key);
    if (there?.bytes !== file.bytes) {
      const isVerified = await upload(this.#bucket, key, file, this.#partBytes);
      const stored = await this.#bucket.head(key);
      if (stored?.bytes !== file.bytes) throw this.#wrong(file, `has ${stored?.bytes ?? 'no'} bytes`);
      if (!isVerified) await this.#readBack(file);
    }
    await this.#cache.add(file);
  }

  async path(hash: string, of = 'what is asked for'): Promise<string> {
    const cached = await this.#cache.path(hash);
    if (cached) return cached;
    const running = this.#downloads.get(hash);
    if (running) return running;
    const fetching = this.#fetch(hash, of).finally(() => this.#downloads.delete(hash));
    this.#downloads.set(hash, fetching);
    return fetching;
  }

  async has(hash: string): Promise<boolean> {
    return (await this.#bucket.head(keyOf(hash))) !== null;
  }

  async delete(hash: string): Promise<void> {
    await this.#bucket.delete(keyOf(hash));
    await this.#cache.delete(hash);
  }

  async *list(abandonedBefore: Date) {
    await abortUploads(this.#bucket, abandonedBefore).catch((error) => {
      throw this.#bucket.explain(error);
    });
    for await (const { key, ...found } of this.#bucket.list('')) {
      const hash = KEY.exec(key)?.[1];
      if (hash) yield { hash, ...found };
    }
  }

  async *listDamaged() {
    const below = `${DAMAGED}/`;
    for await (const { key, ...found } of this.#bucket.list(below))
      yield { ...found, name: key.slice(below.length) };
  }

  deleteDamaged(name: string): Promise<void> {
    return this.#bucket.delete(`${DAMAGED}/${name}`);
  }

  readNote(name: string): Promise<string | null> {
    return this.#bucket.readText(name);
  }

  makeNote(name: string, text: string): Promise<void> {
    return this.#bucket.write(name, text, true);
  }

  /** Once: whoever asks again has read a note before, and requests cost money. */
  async probe(): Promise<void> {
    if (this.#isProbed) return;
    const key = `incoming/probe-${randomUUID()}`;
    await this.#bucket.write(key, 'probe');
    await this.#bucket.delete(key);
    this.#isProbed = true;
  }

  lease(): ArtifactLease {
    const held = new Set<string>();
    const path: ArtifactStore['path'] = (hash, of) => {
      if (!held.has(hash)) this.#cache.hold(hash);
      held.add(hash);
      return this.path(hash, of);
    };
    return {
      store: { ...this.#bound(), path },
      release: () => {
        for (const hash of held) this.#cache.release(hash);
        held.clear();
        void this.#cache.trim();
      },
    };
  }

  #bound(): ArtifactStore {
    return {
      place: this.place,
      newPath: () => this.newPath(),
      put: (file) => this.put(file),
      path: (hash, of) => this.path(hash, of),
      has: (hash) => this.has(hash),
      delete: (hash) => this.delete(hash),
      list: (abandonedBefore) => this.list(abandonedBefore),
      listDamaged: () => this.listDamaged(),
      deleteDamaged: (name) => this.deleteDamaged(name),
      readNote: (name) => this.readNote(name),
      makeNote: (name, text) => this.makeNote(name, text),
      probe: () => this.probe(),
      lease: () => this.lease(),
    };
  }

  close(): void {
    this.#cache.close();
    this.#bucket.close();
  }

  async #fetch(hash: string, of: string): Promise<string> {
    for (let attempt = 1; ; attempt++) {
      const path = this.#cache.newPath();
      try {
        const bytes = await download(this.#bucket, keyOf(hash), path, this.#partBytes);
        if (bytes === null) throw new ArtifactUnusable(hash, of, 'is missing from the store');
        const found = await hashFile(path);
        if (found === hash) return await this.#cache.add({ path, sha256: hash, bytes });
        if (attempt < DOWNLOADS) continue;
        const where = await this.#moveAway(hash);
        throw new ArtifactUnusable(hash, of, `is damaged: its bytes have SHA-256 ${found}; ${where}`);
      } finally {
        await rm(path, { force: true });
      }
    }
  }

  /** Out of the way of the same content, made again. */
  async #moveAway(hash: string): Promise<string> {
    const { client, name } = this.#bucket;
    const to = `${DAMAGED}/${hash}-${randomUUID()}`;
    const { Key } = this.#bucket.at(keyOf(hash));
    try {
      await client.send(new CopyObjectCommand({ ...this.#bucket.at(to), CopySource: `${name}/${Key}` }));
    } catch (error) {
      return `it could not be moved to ${DAMAGED} in the store (${(error as Error).name})`;
    }
    await this.#bucket.delete(keyOf(hash));
    return `it was moved to ${to} in the store`;
  }

  /** Where the server does not say what it has: what it gives out again must be the file. */
  async #readBack(file: NewFile): Promise<void> {
    const path = this.#cache.newPath();
    try {
      await download(this.#bucket, keyOf(file.sha256), path, this.#partBytes);
      const found = await hashFile(path);
      if (found !== file.sha256) throw this.#wrong(file, `reads as SHA-256 ${found}`);
    } finally {
      await rm(path, { force: true });
    }
  }

  #wrong({ sha256, bytes }: NewFile, what: string): AppError {
    void this.#bucket.delete(keyOf(sha256)).catch(() => undefined);
    return new AppError(
      'UNAVAILABLE',
      `artifact store ${this.place}: the file ${sha256} of ${bytes} bytes that was uploaded ${what}`,
      // What came out wrong once may come out right the next time.
      { cause: new Away('the upload is not what was sent') },
    );
  }
}
