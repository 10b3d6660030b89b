/** Swap success of a trained SAE: alpha chosen on validation entities, reported on entities it never saw. */
import { createRandom } from '../../random.ts';
import type { CapturedPopulations } from '../align/captured.ts';
import type { Population } from '../align/population.ts';
import type { SwapMeasure } from '../contract/alignment.ts';
import { type EngineDataset, type Prompt, SPLITS, type Split } from '../contract/dataset.ts';
import type { JobReporter } from '../contract/protocol.ts';
import { laterAlpha } from '../contract/swap.ts';
import type { LanguageModel } from '../model/languageModel.ts';
import type { Sae } from '../sae/sae.ts';
import { ANSWER, type AskedTrials, askTrials } from './answers.ts';
import { freeScales } from './controls.ts';
import { createEditor, randomSwap, slotSwap } from './editors.ts';
import { createJudge, type Judge, NO_SWAPS, noteSwap } from './judge.ts';
import { askKnown, Knowledge, takeKnown } from './knowledge.ts';
import { REPLACED } from './replacements.ts';
import { type Sums, sumsOf } from './sums.ts';
import { indexTargetPrompts, type TargetPromptOf } from './targetPrompts.ts';
import { drawTrials, type SwapTrial } from './trials.ts';

const METHOD = 'LATENT_DECODE';
/** What stands beside the slots. */
const CONTROLS = ['RANDOM_LATENT', 'TRUE_ACTIVATION', 'SUM'] as const;

export interface SwapEvaluation {
  swaps: SwapMeasure[];
  chosenAlpha: number | null;
}

/** Which swaps are tried. */
interface Asked {
  population: Population;
  split: Split;
  trials: readonly SwapTrial[];
  /** For each whether the model knows it. */
  known: readonly boolean[];
  leftOut: number;
}

/** Who edits them, and how strongly. */
interface Tried {
  control: SwapMeasure['control'];
  alpha: number;
}

/**
 * Tries every alpha on validation entities asked in validation phrasings (training ones where there are none), and
 * the best of them on the other entities, on unseen ones beside the controls and, where `everyAlpha` is set, all others.
 * Edits stand where the SAE was trained. Nothing is chosen on what is reported.
 */
export async function evaluateSwaps(
  pair: { model: LanguageModel; sae: Sae },
  dataset: EngineDataset,
  captured: CapturedPopulations,
  reporter: Pick<JobReporter, 'breathe' | 'log'>,
): Promise<SwapEvaluation> {
  const breathe = () => reporter.breathe();
  const targetOf = indexTargetPrompts([...captured.SEEN, ...captured.VALIDATION, ...captured.UNSEEN]);
  const draw = createDraw(pair, dataset, { captured, targetOf }, breathe);
  const chosenBy = await drawFirst(draw, 'VALIDATION', ['VALIDATION', 'TRAIN']);
  if (!chosenBy) return { swaps: [], chosenAlpha: null };
  if (chosenBy.trials.length === 0) {
    reporter.log(
      'WARN',
      `no swap is measured: of the ${chosenBy.leftOut} on validation entities the model knows none by itself`,
    );
    return { swaps: [], chosenAlpha: null };
  }
  const scales = freeScales(pair.sae, captured.SEEN);
  const judge = createJudge(pair.model, dataset.facts);
  const given = { ...pair, scales, targetOf, sums: sumsOf(captured, dataset.concepts.length), judge };
  const tryAll = (asked: Asked, tried: readonly Tried[]) => measure(given, asked, tried, breathe);
  const { alphas, everyAlpha } = pair.sae.settings;
  const slotsAt = (some: readonly number[]) => some.map((alpha): Tried => ({ control: 'CONCEPT', alpha }));
  const swaps = await tryAll(chosenBy, slotsAt(alphas));
  const alpha = bestAlpha(swaps);
  const others = everyAlpha ? slotsAt(alphas.filter((other) => other !== alpha)) : [];
  for (const population of ['UNSEEN', 'SEEN'] as const) {
    for (const split of SPLITS) {
      const reported = await draw(population, split);
      const slots = slotsAt([alpha]);
      const controls: Tried[] = CONTROLS.map((control) => ({ control, alpha }));
      const tried = population === 'UNSEEN' ? [...slots, ...controls, ...others] : slots;
      swaps.push(...(await tryAll(reported, tried)));
    }
  }
  return { swaps, chosenAlpha: alpha };
}

type Draw = (population: Population, split: Split) => Promise<Asked>;

/** Draws the swaps of a population and a split, and finds out which of them the model knows. */
function createDraw(
  { model, sae }: { model: LanguageModel; sae: Sae },
  { facts }: EngineDataset,
  { captured, targetOf }: { captured: CapturedPopulations; targetOf: TargetPromptOf<Prompt> },
  breathe: () => Promise<void>,
): Draw {
  const { swapTrials, seed, knownOnly } = sae.settings;
  const knowledge = new Knowledge(model, breathe);
  const promptsOf = ({ example, target }: SwapTrial) => [example, targetOf(example, target)] as const;
  return async (population, split) => {
    const prompts = captured[population].filter((prompt) => prompt.split === split);
    const stream = `${population}/${split}`;
    const candidates = drawTrials(prompts, facts, { count: Number.POSITIVE_INFINITY, seed, stream });
    const { swaps: trials, leftOut } = knownOnly
      ? await takeKnown(knowledge, candidates, swapTrials, promptsOf)
      : { swaps: candidates.slice(0, swapTrials), leftOut: 0 };
    const known = await askKnown(knowledge, trials, promptsOf);
    return { population, split, trials, known, leftOut };
  };
}

/** The first of the splits that has a swap to try, or one that was left out; undefined where none has. */
async function drawFirst(
  draw: Draw,
  population: Population,
  splits: readonly Split[],
): Promise<Asked | undefined> {
  const drawn: Asked[] = [];
  for (const split of splits) {
    const asked = await draw(population, split);
    if (asked.trials.length > 0) return asked;
    drawn.push(asked);
  }
  return drawn.find(({ leftOut }) => leftOut > 0);
}

interface Given {
  model: LanguageModel;
  sae: Sae;
  scales: Float32Array;
  targetOf: TargetPromptOf<Prompt>;
  sums: Sums;
  judge: Judge;
}

/** The same swaps in all the ways tried; none where there is no swap to try. */
async function measure(
  given: Given,
  asked: Asked,
  tried: readonly Tried[],
  breathe: () => Promise<void>,
): Promise<SwapMeasure[]> {
  if (asked.trials.length === 0) return [];
  const answerBy = openTrials(given, asked, breathe);
  try {
    const swaps: SwapMeasure[] = [];
    for (const one of tried)
      swaps.push({ ...one, ...countAnswers(given.judge, asked, await answerBy.answers(one)) });
    return swaps;
  } finally {
    answerBy.dispose();
  }
}

/** Null answers are of swaps that could not be tried. */
function countAnswers(
  judge: Judge,
  { population, split, trials, known, leftOut }: Asked,
  answers: readonly (string | null)[],
): Omit<SwapMeasure, keyof Tried> {
  const counts = { ...NO_SWAPS };
  trials.forEach((trial, i) => {
    const answer = answers[i]!;
    if (answer !== null) noteSwap(counts, judge(answer, trial), known[i]!);
  });
  return { population, split, ...counts, leftOut };
}

/** The model's answers to some swaps, by who edits them; the caller disposes. */
function openTrials(
  { model, sae, scales, targetOf, sums }: Given,
  { trials }: Asked,
  breathe: () => Promise<void>,
): { answers(tried: Tried): Promise<(string | null)[]>; dispose(): void } {
  const { seed, layer, positions: placement } = sae.settings;
  const random = createRandom(seed, 'random-latents');
  const parts = { sae, methods: [METHOD] } as const;
  const editors = {
    CONCEPT: createEditor({
      ...parts,
      edited: 'CONCEPT',
      swaps: trials.map((trial) => slotSwap(sae, trial)),
    }),
    RANDOM_LATENT: createEditor({
      ...parts,
      edited: 'RANDOM_LATENT',
      swaps: trials.map((trial) => randomSwap(random, scales, trial)),
    }),
  };
  const { asking } = model;
  const asked: AskedTrials = askTrials(
    model,
    layer,
    trials.map(({ prompt, h, expected }, pair) => ({ tokens: asking.prompt(prompt), h, pair, expected })),
  );
  const replaced = {
    asked,
    sums,
    trials: trials.map(({ example, source, target }) => {
      const prompt = targetOf(example, target)?.prompt;
      const targetTokens = prompt === undefined ? null : asking.prompt(prompt);
      return { source, target, entity: example.entity, targetTokens };
    }),
  };
  return {
    answers({ control, alpha }) {
      if (control === 'TRUE_ACTIVATION' || control === 'SUM')
        return REPLACED[control](replaced, placement, breathe);
      const alphaLater = laterAlpha(placement, alpha, undefined);
      return ANSWER[placement](
        asked,
        { editor: editors[control], method: METHOD, alpha, alphaLater },
        breathe,
      );
    },
    dispose: () => asked.dispose(),
  };
}

/** The alpha with the most successes; among equals the one of the smallest size. */
function bestAlpha(swaps: readonly SwapMeasure[]): number {
  const [best] = [...swaps].sort(
    (a, b) => b.successes - a.successes || Math.abs(a.alpha) - Math.abs(b.alpha),
  );
  return best!.alpha;
}
