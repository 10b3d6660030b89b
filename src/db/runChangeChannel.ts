/** Subscribers to changes of runs with one filter, and what they are told. */
import type { Place, RunChange, SharedChange, Snapshot } from './queries/runChanges.ts';
import type { RunFilter } from './queries/runFilter.ts';

/** A change, and the place behind it. */
export interface PlacedChange extends RunChange {
  place: Place;
}

/** Changes between two moments, in the order of ids, each with its place. */
export function placed(
  changes: readonly RunChange[],
  seen: Snapshot,
  until: Snapshot,
): readonly PlacedChange[] {
  return changes.map((change, i) => ({
    ...change,
    place:
      i === changes.length - 1
        ? { seen: until, within: null }
        : { seen, within: { until, runId: change.runId } },
  }));
}

export class ChangeChannel {
  /** Settled when it knows which runs fit. */
  opened: Promise<void> = Promise.resolve();
  /** How often there was something to tell. */
  version = 0;
  readonly #subscriptions = new Set<ChangeSubscription>();
  /** The newest change of each run that somebody may not know of yet, in the order of versions. */
  readonly #changes = new Map<string, { version: number; change: RunChange }>();
  /** By version, the last moment at which it was the newest. */
  readonly #moments = new Map<number, Snapshot>();
  /** By the version that a subscriber comes from, what is told to all that come from there. */
  readonly #batches = new Map<number, readonly PlacedChange[]>();
  /** Runs that fit as far as subscribers know, or may. */
  readonly #fitting = new Set<string>();

  constructor(
    readonly filter: RunFilter,
    /** Every run fits. */
    readonly isWhole: boolean,
    private readonly onEmpty: () => void,
  ) {}

  enter(): ChangeSubscription {
    const subscription = new ChangeSubscription(this);
    this.#subscriptions.add(subscription);
    return subscription;
  }

  leave(subscription: ChangeSubscription): void {
    if (this.#subscriptions.delete(subscription) && this.#subscriptions.size === 0) this.onEmpty();
  }

  learn(fitting: readonly string[]): void {
    for (const id of fitting) this.#fitting.add(id);
  }

  /** Takes what has changed up to a moment; whether a run fits this channel stands at `index`. */
  advance(changes: readonly SharedChange[], index: number, until: Snapshot): void {
    const told = changes.filter(({ runId, fits }) => this.isWhole || fits[index] || this.#fitting.has(runId));
    if (told.length > 0) {
      this.version += 1;
      this.#batches.clear();
      for (const { fits, ...change } of told) this.#note({ ...change, fits: fits[index]! });
      this.#forget();
    }
    this.#moments.set(this.version, until);
    for (const subscription of this.#subscriptions) subscription.wake();
  }

  /** What has changed since `version`, up to now. */
  since(version: number): readonly PlacedChange[] {
    const known = this.#batches.get(version);
    if (known) return known;
    const changes = [...this.#changes.values()]
      .filter((entry) => entry.version > version)
      .map(({ change }) => change)
      .sort((a, b) => (a.runId < b.runId ? -1 : 1));
    const batch = placed(changes, this.#moments.get(version)!, this.#moments.get(this.version)!);
    this.#batches.set(version, batch);
    return batch;
  }

  fail(error: unknown): void {
    for (const subscription of [...this.#subscriptions]) subscription.fail(error);
  }

  #note(change: RunChange): void {
    this.#changes.delete(change.runId);
    this.#changes.set(change.runId, { version: this.version, change });
    if (change.fits) this.#fitting.add(change.runId);
    else this.#fitting.delete(change.runId);
  }

  /** Drops what all have been told. */
  #forget(): void {
    let oldest = this.version - 1;
    for (const { version } of this.#subscriptions) oldest = Math.min(oldest, version ?? oldest);
    for (const [id, { version }] of this.#changes) {
      if (version > oldest) break;
      this.#changes.delete(id);
    }
    for (const version of this.#moments.keys()) {
      if (version >= oldest) break;
      this.#moments.delete(version);
    }
  }
}

/** One consumer's place in a channel. */
export class ChangeSubscription implements AsyncIterableIterator<readonly PlacedChange[]> {
  /** Up to which the consumer was told; null before it begins. */
  version: number | null = null;
  #missed: Promise<readonly PlacedChange[]> | null = null;
  #isClosed = false;
  #error: unknown = null;
  #wake: () => void = () => undefined;

  constructor(private readonly channel: ChangeChannel) {}

  /** From here on it is told what comes; what it missed before comes first. */
  begin(missed: Promise<readonly PlacedChange[]> | null): void {
    this.version = this.channel.version;
    this.#missed = missed;
    // Told by `next`.
    missed?.catch(() => undefined);
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  async next(): Promise<IteratorResult<readonly PlacedChange[]>> {
    for (;;) {
      if (this.#error) throw this.#error;
      if (this.#isClosed) return { done: true, value: undefined };
      if (this.#missed) {
        const missed = await this.#missed;
        this.#missed = null;
        if (missed.length > 0) return { done: false, value: missed };
      } else if (this.version! < this.channel.version) {
        const batch = this.channel.since(this.version!);
        this.version = this.channel.version;
        return { done: false, value: batch };
      } else await this.#sleep();
    }
  }

  async return(): Promise<IteratorResult<readonly PlacedChange[]>> {
    this.close();
    return { done: true, value: undefined };
  }

  wake(): void {
    this.#wake();
  }

  fail(error: unknown): void {
    this.#error = error;
    this.close();
  }

  close(): void {
    this.#isClosed = true;
    this.channel.leave(this);
    this.#wake();
  }

  #sleep(): Promise<void> {
    return new Promise((resolve) => {
      this.#wake = resolve;
    });
  }
}
