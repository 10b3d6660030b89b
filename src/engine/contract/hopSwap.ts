/** Two-hop swaps: what the job takes, what is measured, and what comes of it. The work itself is in `swaps.ts`. */

import type { GrokSettings } from './analysisSettings.ts';
import type { EngineDataset } from './dataset.ts';
import type { HopSwapSettings } from './hopSwapSettings.ts';
import type { ModelRef } from './model.ts';
import type { CellMethod } from './swap.ts';
import type { WrittenFile } from './writtenFile.ts';

export const HOP_EDITS = [
  'CONCEPT',
  'UNSUPERVISED_LATENT',
  'RANDOM_LATENT',
  'MEAN_DIFFERENCE',
  'TRUE_ACTIVATION',
  'SUM',
] as const;
/** What is edited: the bound slots, or a control. */
export type HopEdit = (typeof HOP_EDITS)[number];

export interface HopSwapJob {
  kind: 'HOP_SWAP';
  model: ModelRef;
  dataset: EngineDataset;
  /** How the SAEs were trained, or are to be. */
  analysis: GrokSettings;
  swaps: HopSwapSettings;
  /** Files of the SAE of both hops, or of that of hop 1 and that of hop 2; null where the job is to train them. */
  saes: string[] | null;
}

/** What a hop-swap run stores as its settings. */
export interface StoredHopSwapSettings {
  seed: number;
  analysis: GrokSettings;
  swaps: HopSwapSettings;
}

interface Trials {
  trials: number;
  successes: number;
}

export interface HopCounts {
  shown: Trials;
  withheld: Trials;
}

/** A method of one edit at one hop, at the alpha that did best on TRAIN questions. */
export interface HopSwapMeasure {
  /** 1: the answer is to follow the target from E1, so both tokens may change. 2: E2 stays, E3 is to follow the target. */
  hop: 1 | 2;
  edited: HopEdit;
  method: CellMethod;
  alpha: number;
  /** Held-out questions whose (entity, target) the SAE's counterfactuals may have led to. */
  shown: Trials;
  /** Those withheld from them. */
  withheld: Trials;
  /** The same by relation: of swaps that turn it off, its being the source, and of those that turn it on. */
  relations: { relation: number; source: HopCounts; target: HopCounts }[];
  /**
   * The swap armed at every position of held-out questions that ask about the source at neither hop: those asked, and
   * those whose greedy answer stays the same. Only questions that the model answers rightly are asked.
   */
  isolation: { questions: number; kept: number };
  /** What alpha was chosen by: swaps to shown pairs on TRAIN questions, alpha by alpha. */
  choosing: ({ alpha: number } & Trials)[];
}

export interface HopSwapResult {
  kind: 'HOP_SWAP';
  measures: HopSwapMeasure[];
  /** The SAEs that the job trained, of both hops or of hop 1 and hop 2; none where they were given. */
  saes: WrittenFile[];
}

/** What an edit reaches at a hop by the method that did best on TRAIN questions; null where it has none. */
export function bestOf<
  M extends Pick<HopSwapMeasure, 'alpha' | 'choosing'> & { hop: number; edited: string },
>(measures: readonly M[], hop: number, edited: HopEdit): M | null {
  const own = measures.filter((measure) => measure.hop === hop && measure.edited === edited);
  return own.reduce<M | null>((best, each) => (best && chosenBy(best) >= chosenBy(each) ? best : each), null);
}

/** The slots' success on withheld pairs over the unsupervised latents'; null where the latter never succeeded. */
export function ratioOf(slots: Trials, unsupervised: Trials): number | null {
  if (slots.trials === 0 || unsupervised.trials === 0 || unsupervised.successes === 0) return null;
  return slots.successes / slots.trials / (unsupervised.successes / unsupervised.trials);
}

function chosenBy({ alpha, choosing }: Pick<HopSwapMeasure, 'alpha' | 'choosing'>): number {
  const { trials, successes } = choosing.find((tried) => tried.alpha === alpha)!;
  return successes / Math.max(1, trials);
}
