/** Settings of two-hop swaps. */
import type { z } from 'zod';
import { count, distinct, namedObject, number } from './describe.ts';
import { swapMethod } from './swap.ts';

export const hopSwapSettings = namedObject('HopSwapSettings', 'What a hop-swap run tries.', {
  methods: distinct(swapMethod, { min: 1 })
    .describe('Methods tried at either hop.')
    .default([...swapMethod.options]),
  alphas: distinct(number(-1000, 1000), { min: 1, max: 64 })
    .describe(
      'Alphas, of which each method keeps the one that does best on TRAIN questions; large ones are there for the controls.',
    )
    .default([0.5, 1, 1.5, 2, 3, 5, 10, 20]),
  trials: count(100_000)
    .describe(
      'Swaps tried with each method and alpha at most: on TRAIN questions, on held-out questions to pairs that were shown, and as many to withheld ones.',
    )
    .default(400),
});

export type HopSwapSettings = z.output<typeof hopSwapSettings>;
export type HopSwapSettingsInput = z.input<typeof hopSwapSettings>;
