/** Swap success of a trained SAE: alpha chosen on validation entities, reported on entities it never saw. */
import { createRandom } from '../../random.ts';
import type { CapturedPopulations } from '../align/captured.ts';
import type { Population } from '../align/population.ts';
import type { SwapMeasure } from '../contract/alignment.ts';
import { type EngineDataset, type Prompt, SPLITS, type Split } from '../contract/dataset.ts';
import { laterAlpha } from '../contract/swap.ts';
import type { LanguageModel } from '../model/languageModel.ts';
import type { Sae } from '../sae/sae.ts';
import { askTrials, countSuccesses, isExpected } from './answers.ts';
import { freeScales } from './controls.ts';
import { createEditor, randomSwap, slotSwap } from './editors.ts';
import { REPLACED, REPLACEMENTS } from './replacements.ts';
import { type Sums, sumsOf } from './sums.ts';
import { indexTargetPrompts, type TargetPromptOf } from './targetPrompts.ts';
import { drawTrials, type SwapTrial } from './trials.ts';

const METHOD = 'LATENT_DECODE';
/** What stands beside the slots. */
const CONTROLS = ['RANDOM_LATENT', ...REPLACEMENTS] as const;

export interface SwapEvaluation {
  swaps: SwapMeasure[];
  chosenAlpha: number | null;
}

/** Which swaps are tried. */
interface Asked {
  population: Population;
  split: Split;
  trials: readonly SwapTrial[];
}

/** Who edits them, and how strongly. */
interface Tried {
  control: SwapMeasure['control'];
  alpha: number;
}

/**
 * Tries every alpha on validation entities asked in validation phrasings (training ones where there are none), and
 * the best of them on the other entities, on unseen ones beside the controls. Edits stand where the SAE was trained.
 * Nothing is chosen on what is reported.
 */
export async function evaluateSwaps(
  pair: { model: LanguageModel; sae: Sae },
  dataset: EngineDataset,
  captured: CapturedPopulations,
  breathe: () => Promise<void>,
): Promise<SwapEvaluation> {
  const { alphas, swapTrials: count, seed } = pair.sae.settings;
  const draw = (population: Population, split: Split): Asked => {
    const prompts = captured[population].filter((prompt) => prompt.split === split);
    const stream = `${population}/${split}`;
    return { population, split, trials: drawTrials(prompts, dataset.facts, { count, seed, stream }) };
  };
  const choosing = [draw('VALIDATION', 'VALIDATION'), draw('VALIDATION', 'TRAIN')];
  const chosenBy = choosing.find(({ trials }) => trials.length > 0);
  if (!chosenBy) return { swaps: [], chosenAlpha: null };
  const scales = freeScales(pair.sae, captured.SEEN);
  const given = {
    ...{ ...pair, scales },
    targetOf: indexTargetPrompts([...captured.SEEN, ...captured.VALIDATION, ...captured.UNSEEN]),
    sums: sumsOf(captured, dataset.concepts.length),
  };
  const tryAll = (asked: Asked, tried: readonly Tried[]) => measure(given, asked, tried, breathe);
  const swaps = await tryAll(
    chosenBy,
    alphas.map((alpha) => ({ control: 'CONCEPT', alpha })),
  );
  const alpha = bestAlpha(swaps);
  for (const population of ['UNSEEN', 'SEEN'] as const) {
    for (const split of SPLITS) {
      const reported = draw(population, split);
      const slots = { control: 'CONCEPT', alpha } as const;
      const tried: Tried[] = CONTROLS.map((control) => ({ control, alpha }));
      swaps.push(...(await tryAll(reported, population === 'UNSEEN' ? [slots, ...tried] : [slots])));
    }
  }
  return { swaps, chosenAlpha: alpha };
}

interface Given {
  model: LanguageModel;
  sae: Sae;
  scales: Float32Array;
  targetOf: TargetPromptOf<Prompt>;
  sums: Sums;
}

/** The same swaps in all the ways tried; none where there is no swap to try. */
async function measure(
  { model, sae, scales, targetOf, sums }: Given,
  { population, split, trials }: Asked,
  tried: readonly Tried[],
  breathe: () => Promise<void>,
): Promise<SwapMeasure[]> {
  if (trials.length === 0) return [];
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
  const asked = askTrials(
    model,
    layer,
    trials.map(({ prompt, h, expected }, pair) => ({
      tokens: model.tokenizer.encode(prompt),
      h,
      pair,
      expected,
    })),
  );
  const replaced = {
    asked,
    sums,
    trials: trials.map(({ example, source, target }) => {
      const prompt = targetOf(example, target)?.prompt;
      const targetTokens = prompt === undefined ? null : model.tokenizer.encode(prompt);
      return { source, target, entity: example.entity, targetTokens };
    }),
  };
  try {
    const swaps: SwapMeasure[] = [];
    for (const { control, alpha } of tried) {
      if (control === 'TRUE_ACTIVATION' || control === 'SUM') {
        const answers = await REPLACED[control](replaced, placement, breathe);
        const right = answers.map(
          (answer, i) => answer !== null && isExpected(model, answer, trials[i]!.expected),
        );
        const successes = right.filter(Boolean).length;
        const tried = answers.filter((answer) => answer !== null).length;
        swaps.push({ control, population, split, alpha, trials: tried, successes });
        continue;
      }
      const alphaLater = laterAlpha(placement, alpha, undefined);
      const edits = { editor: editors[control], method: METHOD, alpha, alphaLater } as const;
      const successes = await countSuccesses(asked, edits, breathe, placement);
      swaps.push({ control, population, split, alpha, trials: trials.length, successes });
    }
    return swaps;
  } finally {
    asked.dispose();
  }
}

/** The alpha with the most successes; among equals the one of the smallest size. */
function bestAlpha(swaps: readonly SwapMeasure[]): number {
  const [best] = [...swaps].sort(
    (a, b) => b.successes - a.successes || Math.abs(a.alpha) - Math.abs(b.alpha),
  );
  return best!.alpha;
}
