/** Two-hop swaps: what is measured, and what comes of it. The work itself is in `swaps.ts`. */
import { z } from 'zod';
import type { SwapMethod } from '../align/swap.ts';
import { SWAP_METHODS } from '../align/swap.ts';

export const HOP_EDITS = ['CONCEPT', 'UNSUPERVISED_LATENT', 'RANDOM_LATENT', 'MEAN_DIFFERENCE'] as const;
export type HopEdit = (typeof HOP_EDITS)[number];

export const hopSwapSettings = z
  .object({
    methods: z
      .array(z.enum(SWAP_METHODS))
      .min(1)
      .default([...SWAP_METHODS]),
    /** Tried on TRAIN questions; the best of each method is reported on held-out ones. */
    alphas: z.array(z.number().min(-1000).max(1000)).min(1).max(64).default([0.5, 1, 1.5, 2, 3, 5, 10, 20]),
    /** Swaps a hop and alpha, at most; as many again of withheld pairs. */
    trials: z.number().int().min(1).max(100_000).default(400),
  })
  .strict();
export type HopSwapSettings = z.output<typeof hopSwapSettings>;

/** A method of one edit at one hop, at the alpha that did best on TRAIN questions. */
export interface HopSwapMeasure {
  /** 1: the answer is to follow the target from E1, so both tokens may change. 2: E2 stays, E3 is to follow the target. */
  hop: 1 | 2;
  edited: HopEdit;
  method: SwapMethod;
  alpha: number;
  /** Held-out questions whose (entity, target) the SAE's counterfactuals may have led to. */
  shown: { trials: number; successes: number };
  /** Those withheld from them. */
  withheld: { trials: number; successes: number };
  /**
   * The swap armed at every position of held-out questions that ask about the source at neither hop: those asked, and
   * those whose greedy answer stays the same. Only questions that the model answers rightly are asked.
   */
  isolation: { questions: number; kept: number };
}

export interface HopSwapResult {
  measures: HopSwapMeasure[];
  /**
   * By hop, the slots' success on withheld pairs over that of the unsupervised SAE's best latents, each by its best
   * method and alpha, chosen on TRAIN questions; null where the latter never succeeded.
   */
  ratios: { hop: 1 | 2; slots: number; unsupervised: number; ratio: number | null }[];
}
