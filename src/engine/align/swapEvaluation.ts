/** Swap success of a trained SAE: alpha chosen on validation entities, reported on entities it never saw. */

import type { SwapMeasure } from '../contract/alignment.ts';
import { type EngineDataset, SPLITS, type Split } from '../contract/dataset.ts';
import type { LanguageModel } from '../model/languageModel.ts';
import { stackRows } from '../rows.ts';
import type { Sae } from '../sae/sae.ts';
import type { CapturedPopulations, CapturedPrompt } from './captured.ts';
import type { Population } from './population.ts';
import {
  countSuccesses,
  drawTrials,
  type EditsOf,
  randomEdits,
  type SwapTrial,
  slotEdits,
} from './swapTrials.ts';

const METHOD = 'LATENT_DECODE';

export interface SwapEvaluation {
  swaps: SwapMeasure[];
  chosenAlpha: number | null;
}

/**
 * Tries every alpha on validation entities asked in validation phrasings (training ones where there are none), and
 * the best of them on the other entities, beside the random-latent control. Nothing is chosen on what is reported.
 */
export async function evaluateSwaps(
  pair: { model: LanguageModel; sae: Sae },
  dataset: EngineDataset,
  captured: CapturedPopulations,
  breathe: () => Promise<void>,
): Promise<SwapEvaluation> {
  const { settings } = pair.sae;
  const draw = (population: Population, split: Split) =>
    drawTrials(
      captured[population].filter((prompt) => prompt.split === split),
      dataset.facts,
      { count: settings.swapTrials, seed: settings.seed, stream: `${population}/${split}` },
    );
  const measure = async (
    what: Pick<SwapMeasure, 'control' | 'population' | 'split' | 'alpha'>,
    trials: readonly SwapTrial[],
    editsOf: EditsOf,
  ): Promise<SwapMeasure> => {
    const asked = trials.map((trial) => ({ ...trial, tokens: pair.model.tokenizer.encode(trial.prompt) }));
    const successes = await countSuccesses(pair, asked, editsOf(trials, what.alpha), METHOD, breathe);
    return { ...what, trials: trials.length, successes };
  };
  const slots = slotEdits(pair.sae);
  const choosing = (['VALIDATION', 'TRAIN'] as const).map((split) => ({
    split,
    trials: draw('VALIDATION', split),
  }));
  const { split, trials } = choosing.find(({ trials }) => trials.length > 0) ?? choosing[0]!;
  if (trials.length === 0) return { swaps: [], chosenAlpha: null };
  const swaps: SwapMeasure[] = [];
  for (const alpha of settings.alphas) {
    swaps.push(await measure({ control: 'CONCEPT', population: 'VALIDATION', split, alpha }, trials, slots));
  }
  const alpha = bestAlpha(swaps);
  const random = randomEdits(pair.sae, freeScales(pair.sae, captured.SEEN), settings.seed);
  for (const population of ['UNSEEN', 'SEEN'] as const) {
    for (const split of SPLITS) {
      const reported = draw(population, split);
      if (reported.length === 0) continue;
      const where = { population, split, alpha };
      swaps.push(await measure({ control: 'CONCEPT', ...where }, reported, slots));
      if (population === 'UNSEEN') {
        swaps.push(await measure({ control: 'RANDOM_LATENT', ...where }, reported, random));
      }
    }
  }
  return { swaps, chosenAlpha: alpha };
}

/** The alpha with the most successes; among equals the one of the smallest size. */
function bestAlpha(swaps: readonly SwapMeasure[]): number {
  const [best] = [...swaps].sort(
    (a, b) => b.successes - a.successes || Math.abs(a.alpha) - Math.abs(b.alpha),
  );
  return best!.alpha;
}

/** Mean activation of each free latent over the training prompts on which it fires, `[nFree]`; 0 where it never does. */
export function freeScales(sae: Sae, prompts: readonly CapturedPrompt[]): Float32Array {
  const { nFree, dModel } = sae.config;
  const sums = new Float64Array(nFree);
  const counts = new Float64Array(nFree);
  for (let start = 0; start < prompts.length; start += 256) {
    const rows = prompts.slice(start, start + 256);
    sae.latents(stackRows(rows, dModel)).forEach((value, i) => {
      const latent = i % sae.nLatents;
      if (latent >= nFree || value === 0) return;
      sums[latent]! += value;
      counts[latent]!++;
    });
  }
  return Float32Array.from(sums, (sum, latent) => (counts[latent] ? sum / counts[latent]! : 0));
}
