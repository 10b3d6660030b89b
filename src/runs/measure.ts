/** What can be measured of runs, in one shape: a name, what it was measured on, and the figure. */
import type { Split } from '../engine/contract/dataset.ts';
import type { Share } from '../stats.ts';

/** Every measure, with what it means. */
export const MEASURES = {
  MODEL_ACCURACY: 'Share of prompts that the model, made or studied, answers exactly; `Model.accuracy`.',
  KNOWN_PROMPTS:
    'Share of a sample of prompts that the model answers right by itself, by `concept`; of a knowledge run.',
  BINDING_ACCURACY: "Share of prompts whose strongest slot is their concept's; `Binding.accuracy`.",
  BINDING_TOP3: "Share of prompts whose concept's slot is among the three strongest; `Binding.top3`.",
  BINDING_TOP5: "Share of prompts whose concept's slot is among the five strongest; `Binding.top5`.",
  DIAGONAL_ACCURACY: 'The best one-to-one matching on the binding matrix; `Binding.diagonalAccuracy`.',
  DIAGONAL_STRENGTH: 'The row-normalised diagonal of the binding matrix; `Binding.diagonalStrength`.',
  SLOT_MARGIN: 'Mean of the strongest slot less the second strongest; `Binding.slotMargin`.',
  EFF_FEAT:
    'Effective number of latents that carry a concept, mean over the concepts, `over` ALL latents or the SLOTS alone; `Binding.effFeat`, `Binding.slotEffFeat`.',
  TOP1_CONC:
    'Share of a concept that its strongest latent carries, mean over the concepts, `over` ALL latents or the SLOTS alone; `Binding.top1Conc`, `Binding.slotTop1Conc`.',
  VALUE_ACCURACY:
    "Share of answers whose first token the bound slot's value head names; `Binding.valueAccuracy`.",
  FVU: 'Fraction of variance unexplained; `Reconstruction.fvu`.',
  L0: 'Mean number of active free latents; `Reconstruction.l0`.',
  DEAD_LATENTS: 'Share of free latents that never fired; `Reconstruction.deadLatents`.',
  SWAP_SUCCESS:
    'Share of concept swaps whose whole answer is the target’s fact. Of an alignment run: at the alpha that it chose on validation, by `population` and by what was `edited`. Of a swap sweep: by what was `edited`, `method` and `alpha`. Of a hop-swap run: by `hop`, what was `edited`, `method` and `pairs`, at the alpha that it chose on TRAIN questions.',
  LOOSE_SWAP_SUCCESS:
    'SWAP_SUCCESS by the looser match of the paper’s authors, where one of the two answers is a part of the other; of alignment runs and swap sweeps.',
  CATEGORY_KEPT:
    'Share of the swaps that fail whose answer is a value of the target concept; of alignment runs and swap sweeps.',
  KNOWN_SWAP_SUCCESS:
    'SWAP_SUCCESS over the swaps of which the model answers both prompts right unedited, the swap’s own and its target’s; of alignment runs and swap sweeps.',
  KNOCK_OUT:
    'Mean change of the log-odds of the answer where the slot of its concept, a `slot`, is set to 0; `AlignmentRun.knocks`.',
  KNOCK_IN:
    'Mean change of the log-odds of the answer where the slot of another concept, a `slot`, is set to 1; `AlignmentRun.knocks`.',
  PROMPT_ISOLATION:
    'Share of prompts about other concepts that an armed swap leaves as they are, in a swap sweep or a hop-swap run.',
  TEXT_ISOLATION: 'Share of texts that ask nothing that an armed swap leaves as they are, in a swap sweep.',
  STATEMENT_ISOLATION:
    'Share of texts that state the source’s own fact that an armed swap leaves as they are, in a swap sweep.',
  FAITHFUL_ACCURACY:
    'Share of prompts that the model answers exactly with the activation replaced, by `replacement`.',
  CROSS_ENTROPY:
    'Cross-entropy of the answer’s tokens with the activation replaced, by `replacement`, in nats a token.',
  SEPARABILITY: 'How well the latent that tells a concept best tells it, by `concept`.',
  FRAGMENTATION: 'Latents that it takes to reach 95% of what all latents together reach, by `concept`.',
} as const;
export type MeasureName = keyof typeof MEASURES;

export interface Measure {
  name: MeasureName;
  split: Split | null;
  /** What else tells it from others of its name, in order: such as `population: UNSEEN`. */
  of: readonly { name: string; value: string }[];
  value: number;
  /** Of what the value is the share; null where it is not one of trials. */
  rate: Share | null;
  /** Of a swap at an alpha that the run itself chose; null otherwise. */
  alpha: number | null;
}

interface Where {
  split?: Split;
  /** By name, in order. */
  of?: Readonly<Record<string, string | number>>;
  alpha?: number;
}

export function plain(name: MeasureName, value: number, { split, of = {}, alpha }: Where = {}): Measure {
  const details = Object.entries(of).map(([key, detail]) => ({ name: key, value: String(detail) }));
  return { name, split: split ?? null, of: details, alpha: alpha ?? null, value, rate: null };
}

/** Nothing where there were no trials, or where they were not counted. */
export function share(
  name: MeasureName,
  successes: number | null,
  trials: number | null,
  where: Where = {},
): Measure[] {
  if (!trials || successes === null) return [];
  return [{ ...plain(name, successes / trials, where), rate: { successes, trials } }];
}

/** What else the answers of swaps are judged by. */
export function looseShares(
  swaps: {
    trials: number;
    successes: number;
    looseSuccesses: number | null;
    categoryKept: number | null;
  },
  where: Where,
): Measure[] {
  const { trials, successes, looseSuccesses, categoryKept } = swaps;
  return [
    ...share('LOOSE_SWAP_SUCCESS', looseSuccesses, trials, where),
    ...share('CATEGORY_KEPT', categoryKept, trials - successes, where),
  ];
}

/** A share that is stored without its count of successes. */
export function shareOf(name: MeasureName, value: number, trials: number, where: Where): Measure[] {
  return share(name, Math.round(value * trials), trials, where);
}
