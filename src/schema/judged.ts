/** What measured swaps say of their answers beside whole success. */
import type { Share } from '../stats.ts';

export const LOOSE =
  'Success by the looser match of the paper’s authors, to compare with their figures: the answer is a part of the one expected, or the other way round, without regard to case. Null where it was measured before this was counted.';

export const CATEGORY_KEPT =
  'Of the swaps that fail, those whose answer is a value of the target concept, if only another entity’s. Null where it was measured before this was counted.';

interface Counts {
  trials: number;
  successes: number;
  looseSuccesses?: number | null | undefined;
  categoryKept?: number | null | undefined;
}

export function looseOf({ trials, looseSuccesses }: Counts): Share | null {
  return looseSuccesses == null ? null : { trials, successes: looseSuccesses };
}

export function categoryKeptOf({ trials, successes, categoryKept }: Counts): Share | null {
  return categoryKept == null ? null : { trials: trials - successes, successes: categoryKept };
}
