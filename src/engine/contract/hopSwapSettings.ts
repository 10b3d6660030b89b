/** Settings of two-hop swaps. */
import { z } from 'zod';
import { SWAP_METHODS } from './swap.ts';

const unique = <T>(values: readonly T[]) => new Set(values).size === values.length;

export const hopSwapSettings = z
  .object({
    methods: z
      .array(z.enum(SWAP_METHODS))
      .min(1)
      .refine(unique, 'must not repeat')
      .default([...SWAP_METHODS]),
    /** Tried on TRAIN questions; the best of each method is reported on held-out ones. */
    alphas: z
      .array(z.number().min(-1000).max(1000))
      .min(1)
      .max(64)
      .refine(unique, 'must not repeat')
      .default([0.5, 1, 1.5, 2, 3, 5, 10, 20]),
    /** Swaps a hop and alpha, at most; as many again of withheld pairs. */
    trials: z.number().int().min(1).max(100_000).default(400),
  })
  .strict();

export type HopSwapSettings = z.output<typeof hopSwapSettings>;
export type HopSwapSettingsInput = z.input<typeof hopSwapSettings>;
