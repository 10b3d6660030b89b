/** The swaps of a sweep: which are drawn, which of them the model knows, and what is counted of their answers. */
import { invalidInput } from '../../errors.ts';
import { createWithheld } from '../align/withheld.ts';
import type { Prompt } from '../contract/dataset.ts';
import type { JobReporter } from '../contract/protocol.ts';
import type { SwapSweepJob, SweepCell, SweepPair } from '../contract/swapSweep.ts';
import type { LanguageModel } from '../model/languageModel.ts';
import type { Sae } from '../sae/sae.ts';
import { createJudge, type Judge, type JudgedSwaps, NO_SWAPS, noteSwap } from './judge.ts';
import { askKnown, Knowledge, takeKnown } from './knowledge.ts';
import { indexTargetPrompts } from './targetPrompts.ts';
import { choosePrompts, type SweepTrial, sweepDraw } from './trials.ts';

export interface SweepSwap extends SweepTrial {
  /** Asks the target of the same entity; null where there is none. */
  targetPrompt: Prompt | null;
  /** Whether the model answers both prompts right unedited. */
  known: boolean;
}

export interface DrawnSwaps {
  swaps: readonly SweepSwap[];
  judge: Judge;
  /** Swaps of each pair that the model does not know, where those were to be left out. */
  pairs: readonly { source: number; target: number; leftOut: number }[];
}

/** @throws {AppError} INVALID_INPUT when the dataset has no such swap, or the model knows none. */
export async function drawSwaps(
  job: SwapSweepJob,
  model: LanguageModel,
  sae: Sae,
  reporter: Pick<JobReporter, 'breathe' | 'log'>,
): Promise<DrawnSwaps> {
  const { settings, dataset } = job;
  const counts = settings.withheldOnly ? createWithheld(dataset, sae.settings) : undefined;
  const draw = sweepDraw(choosePrompts(dataset, sae.settings, settings), dataset, settings, counts);
  const targetOf = indexTargetPrompts(dataset.prompts.filter(({ concepts }) => concepts.length === 1));
  const promptsOf = (swap: Pick<SweepSwap, 'prompt' | 'targetPrompt'>) =>
    [swap.prompt, swap.targetPrompt] as const;
  const knowledge = new Knowledge(model, () => reporter.breathe());
  const swaps: Omit<SweepSwap, 'known'>[] = [];
  const pairs: { source: number; target: number; leftOut: number }[] = [];
  for (const [index, pair] of job.pairs.entries()) {
    const candidates = draw(pair, index).map((trial) => {
      return { ...trial, targetPrompt: targetOf(trial.prompt, pair.target) };
    });
    const { swaps: chosen, leftOut } = settings.knownOnly
      ? await takeKnown(knowledge, candidates, settings.promptsPerPair, promptsOf)
      : { swaps: candidates.slice(0, settings.promptsPerPair), leftOut: 0 };
    swaps.push(...chosen);
    pairs.push({ ...pair, leftOut });
  }
  reportLeftOut(job, swaps.length, pairs, reporter);
  const known = await askKnown(knowledge, swaps, promptsOf);
  const judge = createJudge(model, dataset.facts);
  return { swaps: swaps.map((swap, i) => ({ ...swap, known: known[i]! })), pairs, judge };
}

/** @throws {AppError} INVALID_INPUT when nothing is left to try. */
function reportLeftOut(
  { settings }: SwapSweepJob,
  tried: number,
  pairs: DrawnSwaps['pairs'],
  reporter: Pick<JobReporter, 'log'>,
): void {
  const leftOut = pairs.reduce((sum, pair) => sum + pair.leftOut, 0);
  const prompts = `the ${settings.split} prompts of ${settings.population} entities about these concepts`;
  if (tried === 0 && leftOut > 0)
    throw invalidInput(
      ['settings', 'knownOnly'],
      `the model knows none of the ${leftOut} swaps in ${prompts}: it answers the swap's own prompt or its target's wrong unedited; ask another split or population, or leave knownOnly out`,
    );
  if (tried === 0)
    throw invalidInput(
      ['settings', 'population'],
      `there is no ${settings.withheldOnly ? 'withheld swap among' : 'swap in'} ${prompts}`,
    );
  if (leftOut > 0)
    reporter.log('INFO', `${leftOut} swaps are left out, whose answers the model does not know by itself`);
}

type Counts = JudgedSwaps & Pick<SweepCell, 'leftOut'>;

/** What a cell's answers come to, over all pairs and by pair; null answers are of swaps that could not be tried. */
export function countSwaps(
  { swaps, pairs, judge }: DrawnSwaps,
  answers: readonly (string | null)[],
): Counts & Pick<SweepCell, 'pairs'> {
  const counts = pairs.map((pair): SweepPair => ({ ...NO_SWAPS, ...pair }));
  swaps.forEach(({ pair, expected, known }, i) => {
    const answer = answers[i]!;
    if (answer === null) return;
    noteSwap(counts[pair]!, judge(answer, { target: pairs[pair]!.target, expected }), known);
  });
  const sum = (key: keyof Counts) => counts.reduce((total, count) => total + count[key], 0);
  return {
    ...{ trials: sum('trials'), successes: sum('successes') },
    ...{ looseSuccesses: sum('looseSuccesses'), categoryKept: sum('categoryKept') },
    ...{ knownTrials: sum('knownTrials'), knownSuccesses: sum('knownSuccesses') },
    ...{ leftOut: sum('leftOut'), pairs: counts },
  };
}
