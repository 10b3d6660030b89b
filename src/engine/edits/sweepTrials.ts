/** Keeps every swap of a sweep: what was asked, and what each cell made the model answer. */
import { normalizeAnswer } from '../../data/answers.ts';
import type { KeptAnswers, KeptSwap, SwapOutcome } from '../contract/sweepTrials.ts';
import { stackRows } from '../rows.ts';
import { type AskedTrials, answerReplaced } from './answers.ts';
import type { Verdict } from './judge.ts';
import type { DrawnSwaps } from './sweepSwaps.ts';

/** What a cell's answers are to be kept as. */
export type TrialKeeper = (answers: readonly (string | null)[]) => KeptAnswers;

/** Asks the model unedited first; the swaps themselves go with the first answers that are kept. */
export async function createTrialKeeper(
  { swaps, pairs, judge }: DrawnSwaps,
  asked: AskedTrials,
  breathe: () => Promise<void>,
): Promise<TrialKeeper> {
  const h = stackRows(asked.trials, asked.model.config.dModel);
  const unedited = await answerReplaced(asked, h, null, breathe);
  let open: KeptSwap[] | null = swaps.map(({ pair, prompt, expected, known }, i) => {
    const { source, target } = pairs[pair]!;
    return { promptId: prompt.id, source, target, expected, before: unedited[i]!, known };
  });
  return (answers) => {
    const outcomes = answers.map((answer, i) => {
      if (answer === null) return null;
      const { pair, expected } = swaps[i]!;
      const verdict = judge(answer, { target: pairs[pair]!.target, expected });
      return outcomeOf(verdict, normalizeAnswer(answer) === normalizeAnswer(unedited[i]!));
    });
    const kept = { answers, outcomes, swaps: open };
    open = null;
    return kept;
  };
}

export function outcomeOf({ whole, loose, category }: Verdict, unchanged: boolean): SwapOutcome {
  if (whole) return 'WHOLE';
  if (loose) return 'PART';
  if (category) return 'CATEGORY';
  return unchanged ? 'UNCHANGED' : 'OTHER';
}
