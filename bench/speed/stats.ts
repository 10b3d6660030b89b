/** Medians and ratios of measurements that were taken in turns. */

export interface Spread {
  median: number;
  min: number;
  max: number;
}

/** @throws RangeError when there are no values. */
export function spread(values: readonly number[]): Spread {
  if (values.length === 0) throw new RangeError('there is nothing to take a median of');
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  const median = sorted.length % 2 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
  return { median, min: sorted[0]!, max: sorted.at(-1)! };
}

/** Pair by pair, so that what slowed both sides at one time counts for neither. */
export function ratios(ours: readonly number[], theirs: readonly number[]): Spread {
  if (ours.length !== theirs.length)
    throw new RangeError(`pairs need equally many of both, got ${ours.length} and ${theirs.length}`);
  return spread(ours.map((ms, i) => ms / theirs[i]!));
}

/** The largest difference, relative to the largest number of `expected`. */
export function worstDifference(actual: readonly number[], expected: readonly number[]): number {
  if (actual.length !== expected.length)
    throw new RangeError(`${actual.length} numbers were compared with ${expected.length}`);
  const largest = Math.max(...expected.map(Math.abs), Number.MIN_VALUE);
  const differences = actual.map((value, i) => Math.abs(value - expected[i]!));
  // A NaN on either side is as far away as can be.
  return differences.some(Number.isNaN) ? Number.POSITIVE_INFINITY : Math.max(...differences) / largest;
}
