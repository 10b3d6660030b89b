/** Subscriptions take batches from the feed and hand items on. */
import { encodeEventCursor } from './eventCursor.ts';

/** A source whose items come in batches, each object being the same one for all who are subscribed to it. */
export interface BatchSource<T> extends AsyncIterableIterator<T> {
  /** What has come since, at least one item. */
  nextBatch(): Promise<IteratorResult<readonly T[]>>;
  /** Pass it as `after` to go on behind this item. */
  cursorOf(item: T): string;
}

/** Whether transports may take batches, and share what they make of an item. */
export function isBatchSource(source: object): source is BatchSource<unknown> {
  return 'nextBatch' in source && 'cursorOf' in source;
}

export interface OneByOne<T, Wanted extends T> {
  cursorOf(item: Wanted): string;
  /** All when left out. */
  isWanted?(item: T): item is Wanted;
  /** Called before a batch is handed on. */
  onBatch?(): void;
}

/** Places of the events of a run. */
export const cursorOfEvent = ({ seq }: { seq: number }): string => encodeEventCursor(seq);

/**
 * The items of batches that are wanted. Not a generator, for a generator that waits for its source cannot be returned
 * from, and a subscriber that leaves must let go of its run at once.
 */
export function oneByOne<T, Wanted extends T = T>(
  batches: AsyncIterableIterator<readonly T[]>,
  options: OneByOne<T, Wanted>,
): BatchSource<Wanted> {
  const { isWanted = (_item: T): _item is Wanted => true } = options;
  let batch: readonly Wanted[] = [];
  let position = 0;
  return {
    [Symbol.asyncIterator]() {
      return this;
    },
    async nextBatch() {
      for (;;) {
        const result = await batches.next();
        if (result.done) return { done: true, value: undefined };
        const wanted = result.value.filter(isWanted);
        if (wanted.length === 0) continue;
        options.onBatch?.();
        return { done: false, value: wanted };
      }
    },
    async next() {
      if (position === batch.length) {
        const result = await this.nextBatch();
        if (result.done) return result;
        batch = result.value;
        position = 0;
      }
      return { done: false, value: batch[position++]! };
    },
    async return() {
      await batches.return?.();
      batch = [];
      position = 0;
      return { done: true, value: undefined };
    },
    cursorOf: options.cursorOf,
  };
}
