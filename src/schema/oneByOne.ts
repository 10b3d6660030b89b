/** Subscriptions take batches from the feed and hand items on. */

/**
 * The items of batches that are wanted. Not a generator, for a generator that waits for its source cannot be returned
 * from, and a subscriber that leaves must let go of its run at once.
 */
export function oneByOne<T, Wanted extends T = T>(
  batches: AsyncIterableIterator<T[]>,
  isWanted: (item: T) => item is Wanted = (_item): _item is Wanted => true,
): AsyncIterableIterator<Wanted> {
  let batch: readonly Wanted[] = [];
  let position = 0;
  return {
    [Symbol.asyncIterator]() {
      return this;
    },
    async next() {
      while (position === batch.length) {
        const result = await batches.next();
        if (result.done) return { done: true, value: undefined };
        batch = result.value.filter(isWanted);
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
  };
}
