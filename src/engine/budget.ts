/** What is loaded and kept within a number of bytes: whoever is to work reserves first, and the unused leave. */
import { AppError } from '../errors.ts';

/** Something to hold in memory. */
export interface Holding<T> {
  key: string;
  bytes: number;
  load(): Promise<T>;
}

interface Entry {
  bytes: number;
  /** Reservations that use it now; it stays while there are any. */
  users: number;
  value: Promise<{ dispose(): void }>;
}

export interface Reservation<T extends readonly unknown[]> {
  values: T;
  /** Lets the values go when others need their place; they stay until then. */
  release(): void;
}

export class MemoryBudget {
  readonly #bytes: number;
  /** The least recently used first. */
  readonly #entries = new Map<string, Entry>();

  constructor(bytes: number) {
    this.#bytes = bytes;
  }

  /** Bytes of all that is loaded. */
  get held(): number {
    return [...this.#entries.values()].reduce((sum, { bytes }) => sum + bytes, 0);
  }

  /**
   * Makes room by letting go what is not in use, the least recently used first, and loads what is not here.
   * @throws {AppError} LIMIT_EXCEEDED when it can never fit; UNAVAILABLE when it does not beside what is in use.
   */
  async reserve<T extends readonly { dispose(): void }[]>(
    ...wanted: { [K in keyof T]: Holding<T[K]> }
  ): Promise<Reservation<T>> {
    const needed = wanted.reduce((sum, { bytes }) => sum + bytes, 0);
    if (needed > this.#bytes)
      throw new AppError(
        'LIMIT_EXCEEDED',
        `the model and the SAE need ${needed} bytes; the engine may hold ${this.#bytes} (ENGINE_MEMORY)`,
      );
    const keys = wanted.map(({ key }) => key);
    this.#makeRoom(wanted);
    const entries = wanted.map((holding) => this.#use(holding));
    const release = () => {
      for (const entry of entries.splice(0)) entry.users--;
    };
    try {
      return { values: (await Promise.all(entries.map(({ value }) => value))) as unknown as T, release };
    } catch (error) {
      release();
      await this.#forgetFailed(keys);
      throw error;
    }
  }

  /** Frees all that nobody uses. */
  async clear(): Promise<void> {
    for (const [key, { users }] of this.#entries) if (users === 0) await this.#evict(key);
  }

  #makeRoom(wanted: readonly Holding<unknown>[]): void {
    const keys = new Set(wanted.map(({ key }) => key));
    const missing = wanted.filter(({ key }) => !this.#entries.has(key));
    const room = this.#bytes - missing.reduce((sum, { bytes }) => sum + bytes, 0);
    const idle = [...this.#entries].filter(([key, { users }]) => users === 0 && !keys.has(key));
    const leaving = idle.reduce((sum, [, { bytes }]) => sum + bytes, 0);
    if (this.held - leaving > room)
      throw new AppError(
        'UNAVAILABLE',
        `${this.#bytes - room} bytes are needed, but ${this.held - leaving} of ${this.#bytes} are in use (ENGINE_MEMORY); try again later`,
      );
    for (const [key] of idle) {
      if (this.held <= room) return;
      void this.#evict(key);
    }
  }

  #use({ key, bytes, load }: Holding<{ dispose(): void }>): Entry {
    const entry = this.#entries.get(key) ?? { bytes, users: 0, value: load() };
    entry.users++;
    this.#entries.delete(key);
    this.#entries.set(key, entry); // newest last
    return entry;
  }

  async #evict(key: string): Promise<void> {
    const entry = this.#entries.get(key)!;
    this.#entries.delete(key);
    (await entry.value).dispose();
  }

  async #forgetFailed(keys: readonly string[]): Promise<void> {
    for (const key of keys) {
      const entry = this.#entries.get(key);
      const loaded = await entry?.value.then(
        () => true,
        () => false,
      );
      if (entry && !loaded && this.#entries.get(key) === entry) this.#entries.delete(key);
    }
  }
}
