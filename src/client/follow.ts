/**
 * Follows a subscription by its cursor: through any number of cuts each item comes once and none is missed.
 * graphql-ws alone sends a subscription again with its first variables, so that what came before the cut would come twice.
 */
import type { Client } from 'graphql-ws';
import { FollowError, type ResultError, refusalIn, refusalOf, wordsOf } from './errors.ts';

export interface Following {
  /** A subscription of one field that is given `after: $after` and of which `cursor` is selected. */
  query: string;
  /** `after` among them is where to begin. */
  variables?: Readonly<Record<string, unknown>>;
  /** Ends the iteration, in order. */
  signal?: AbortSignal;
  /** For how long the server may be away, in milliseconds; a minute unless told otherwise. */
  patienceMs?: number;
}

const PATIENCE_MS = 60_000;
const NO_CURSOR = 'Select `cursor` in the subscription: what has none cannot be followed.';
const FIRST_WAIT_MS = 250;
const LONGEST_WAIT_MS = 8_000;
/** Items that wait for a reader who is slower than the server; then the stream is left, and gone on with by its cursor. */
const MOST_WAITING = 10_000;

/**
 * The data of each item, until the server completes the subscription; `release` is called once, at the end.
 * @throws FollowError when the server refuses it, or is away for longer than `patienceMs`.
 */
export function followOver<Data extends object>(
  client: Client,
  following: Following,
  release: () => unknown = () => undefined,
): AsyncIterableIterator<Data> {
  return new Follower<Data>(client, following, release);
}

class Follower<Data extends object> implements AsyncIterableIterator<Data> {
  readonly #waiting: Data[] = [];
  /** Changed in place: when graphql-ws itself sends the subscription again, it goes on behind the last cursor, too. */
  readonly #payload: { query: string; variables: Record<string, unknown> };
  readonly #patienceMs: number;
  readonly #stopListening: () => void;
  #end: { error: FollowError | null } | null = null;
  #isSubscribed = false;
  #isResumed = false;
  #waitMs = FIRST_WAIT_MS;
  #awaySince: number | null = null;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #stop: () => void = () => undefined;
  #wake: () => void = () => undefined;

  constructor(
    private readonly client: Client,
    { query, variables, signal, patienceMs = PATIENCE_MS }: Following,
    private readonly release: () => unknown,
  ) {
    checkQuery(query);
    this.#payload = { query, variables: { ...variables } };
    this.#patienceMs = patienceMs;
    const leave = () => this.#finish(null, true);
    const forget = client.on('connected', () => {
      this.#awaySince = null;
    });
    this.#stopListening = () => {
      forget();
      signal?.removeEventListener('abort', leave);
    };
    signal?.addEventListener('abort', leave);
    if (signal?.aborted) leave();
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  async next(): Promise<IteratorResult<Data, undefined>> {
    for (;;) {
      const item = this.#waiting.shift();
      if (item) return { done: false, value: item };
      if (this.#end?.error) {
        const { error } = this.#end;
        this.#end.error = null;
        throw error;
      }
      if (this.#end) return { done: true, value: undefined };
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
        if (!this.#isSubscribed) this.#subscribe();
      });
    }
  }

  async return(): Promise<IteratorResult<Data, undefined>> {
    this.#finish(null, true);
    return { done: true, value: undefined };
  }

  #subscribe(): void {
    this.#isSubscribed = true;
    // What a subscription that was left still says is not listened to: its items come again in the next.
    let isCurrent = true;
    const stop = this.client.subscribe<Data>(this.#payload, {
      next: (result) => void (isCurrent && this.#take(result)),
      error: (reason) => void (isCurrent && this.#broken(reason)),
      complete: () => void (isCurrent && this.#finish(null)),
    });
    this.#stop = () => {
      isCurrent = false;
      stop();
    };
  }

  #take({ data, errors }: { data?: Data | null; errors?: readonly ResultError[] }): void {
    const cursor = cursorIn(data);
    if (errors?.length) this.#refused(errors);
    else if (cursor === null) this.#finish(new FollowError(NO_CURSOR, 'INVALID_INPUT'));
    else this.#accept(data!, cursor);
  }

  #accept(data: Data, cursor: string): void {
    this.#payload.variables.after = cursor;
    this.#isResumed = true;
    this.#waitMs = FIRST_WAIT_MS;
    this.#waiting.push(data);
    if (this.#waiting.length >= MOST_WAITING) {
      this.#stop();
      this.#isSubscribed = false;
    }
    this.#wake();
  }

  #broken(reason: unknown): void {
    const refusal = Array.isArray(reason) ? null : refusalOf(reason);
    if (Array.isArray(reason)) this.#refused(reason as ResultError[]);
    else if (refusal) this.#finish(refusal);
    else this.#later(wordsOf(reason));
  }

  #refused(errors: readonly ResultError[]): void {
    const refusal = refusalIn(errors, this.#isResumed);
    if (refusal) this.#finish(refusal);
    else this.#later(errors[0]!.message);
  }

  #later(reason: string): void {
    this.#stop();
    this.#awaySince ??= performance.now();
    const awayMs = performance.now() - this.#awaySince;
    if (awayMs >= this.#patienceMs) {
      const seconds = (awayMs / 1000).toFixed(0);
      this.#finish(new FollowError(`No server has answered for ${seconds} s: ${reason}.`, 'OFFLINE'));
    } else {
      this.#timer = setTimeout(() => this.#subscribe(), this.#waitMs * (0.5 + Math.random() / 2));
      this.#waitMs = Math.min(this.#waitMs * 2, LONGEST_WAIT_MS);
    }
  }

  /** What waits is still read, unless the reader has left. */
  #finish(error: FollowError | null, isLeft = false): void {
    if (isLeft) this.#waiting.length = 0;
    if (this.#end) return;
    this.#end = { error };
    clearTimeout(this.#timer);
    this.#stop();
    this.#stopListening();
    this.#wake();
    void this.release();
  }
}

/** @throws FollowError INVALID_INPUT */
function checkQuery(query: string): void {
  if (!/\bafter\s*:\s*\$after\b/.test(query) || !/\$after\s*:/.test(query))
    throw new FollowError(
      'The subscription must take its place as a variable: declare `$after: String` and pass `after: $after`.',
      'INVALID_INPUT',
    );
}

/** The cursor of the one field of an item. */
function cursorIn(data: object | null | undefined): string | null {
  const [item] = Object.values(data ?? {});
  const cursor = (item as { cursor?: unknown } | null | undefined)?.cursor;
  return typeof cursor === 'string' ? cursor : null;
}
