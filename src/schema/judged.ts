/** What measured swaps say of their answers beside whole success: the fields of whatever counts them. */
import { RateRef } from './rate.ts';

/** Absent or null where it was measured before that was counted. */
interface Counts {
  trials: number;
  successes: number;
  looseSuccesses?: number | null | undefined;
  categoryKept?: number | null | undefined;
  knownTrials?: number | null | undefined;
  knownSuccesses?: number | null | undefined;
}

export const LOOSE = {
  type: RateRef,
  nullable: true,
  description:
    'Success by the looser match of the paper’s authors, to compare with their figures: the answer is a part of the one expected, or the other way round, without regard to case. Null where it was measured before this was counted.',
  resolve: ({ trials, looseSuccesses }: Counts) =>
    looseSuccesses == null ? null : { trials, successes: looseSuccesses },
} as const;

export const CATEGORY_KEPT = {
  type: RateRef,
  nullable: true,
  description:
    'Of the swaps that fail, those whose answer is a value of the target concept, if only another entity’s. Null where it was measured before this was counted.',
  resolve: ({ trials, successes, categoryKept }: Counts) =>
    categoryKept == null ? null : { trials: trials - successes, successes: categoryKept },
} as const;

export const KNOWN = {
  type: RateRef,
  nullable: true,
  description:
    'Success over those of the swaps tried that the model knows: unedited it answers right both the swap’s own prompt and the prompt that asks the target of the same entity in the same phrasing. The other swaps fail or succeed by what the model lacks rather than by the edit. Null where it was measured before this was asked.',
  resolve: ({ knownTrials, knownSuccesses }: Counts) =>
    knownTrials == null || knownSuccesses == null ? null : { trials: knownTrials, successes: knownSuccesses },
} as const;

export const LEFT_OUT =
  'Number of swaps that were drawn and not tried because the model does not know them; 0 where `knownOnly` is false.';
