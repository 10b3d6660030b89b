/** Every swap of a sweep by itself, kept where it is asked for. */
import type { z } from 'zod';
import { namedEnum } from './describe.ts';

export const swapOutcome = namedEnum('SwapOutcome', 'What a swap came to; the first of these that holds.', {
  WHOLE: 'The whole answer is the target’s fact: success.',
  PART: 'The answer is a part of the one expected, or the other way round: success by the looser match of the paper’s authors.',
  CATEGORY: 'The answer is a value of the target concept, of another entity.',
  UNCHANGED: 'The answer is what it is unedited.',
  OTHER: 'None of these.',
});
export type SwapOutcome = z.output<typeof swapOutcome>;
/** By the number that is stored. */
export const SWAP_OUTCOMES: readonly SwapOutcome[] = swapOutcome.options;

/** A swap that every cell of a sweep tries. */
export interface KeptSwap {
  /** The example of the dataset that is asked. */
  promptId: string;
  /** Concepts by index. */
  source: number;
  target: number;
  expected: readonly string[];
  /** What the model answers unedited. */
  before: string;
  /** Whether the model answers this prompt and the target's right unedited. */
  known: boolean;
}

/** What the swaps of a cell came to, in their order; null of those that could not be tried. */
export interface KeptAnswers {
  answers: readonly (string | null)[];
  outcomes: readonly (SwapOutcome | null)[];
  /** The swaps themselves, with the first cell that an attempt hands over. */
  swaps: readonly KeptSwap[] | null;
}
