/** What measured swaps say of those that the model knows. */
import type { Share } from '../stats.ts';

export const KNOWN =
  'Success over those of the swaps tried that the model knows: unedited it answers right both the swap’s own prompt and the prompt that asks the target of the same entity in the same phrasing. The other swaps fail or succeed by what the model lacks rather than by the edit. Null where it was measured before this was asked.';

export const LEFT_OUT =
  'Number of swaps that were drawn and not tried because the model does not know them; 0 where `knownOnly` is false.';

export function knownOf({
  knownTrials,
  knownSuccesses,
}: {
  knownTrials?: number | null | undefined;
  knownSuccesses?: number | null | undefined;
}): Share | null {
  return knownTrials == null || knownSuccesses == null
    ? null
    : { trials: knownTrials, successes: knownSuccesses };
}
