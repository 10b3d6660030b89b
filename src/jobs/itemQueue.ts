/** What a producer pushes, for one consumer to take at its own speed. */

type Result<T> = IteratorResult<T, undefined>;
interface Taker<T> {
  resolve(result: Result<T>): void;
  reject(error: unknown): void;
}

/**
 * Not a generator, for one that waits for its source cannot be returned from. Holds what was pushed and not yet taken;
 * its producer bounds how much that can be.
 */
export class ItemQueue<T> implements AsyncIterableIterator<T> {
  readonly #onReturn: () => void;
  #items: T[] = [];
  #takers: Taker<T>[] = [];
  /** How it ended; what is still held is taken before. */
  #end: { error: unknown } | 'ended' | null = null;

  /** @param onReturn Called once if the consumer leaves before the end. */
  constructor(onReturn: () => void) {
    this.#onReturn = onReturn;
  }

  push(item: T): void {
    if (this.#end) return;
    const taker = this.#takers.shift();
    if (taker) taker.resolve({ done: false, value: item });
    else this.#items.push(item);
  }

  end(): void {
    this.#end ??= 'ended';
    for (const { resolve } of this.#takers.splice(0)) resolve({ done: true, value: undefined });
  }

  /** The consumer gets the error once, behind what was pushed before it. */
  fail(error: unknown): void {
    if (this.#end) return;
    const taker = this.#takers.shift();
    if (taker) taker.reject(error);
    this.#end = taker ? 'ended' : { error };
    this.end();
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  async next(): Promise<Result<T>> {
    if (this.#items.length > 0) return { done: false, value: this.#items.shift()! };
    if (!this.#end) return new Promise((resolve, reject) => this.#takers.push({ resolve, reject }));
    const end = this.#end;
    this.#end = 'ended';
    if (end !== 'ended') throw end.error;
    return { done: true, value: undefined };
  }

  async return(): Promise<Result<T>> {
    const left = this.#end === null;
    this.#items = [];
    this.#end = 'ended';
    this.end();
    if (left) this.#onReturn();
    return { done: true, value: undefined };
  }
}
