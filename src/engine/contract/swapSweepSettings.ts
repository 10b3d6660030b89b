/** Settings of a swap sweep. */
import { z } from 'zod';
import { SPLITS } from './dataset.ts';
import { seed } from './seed.ts';
import { SWAP_METHODS } from './swap.ts';

export const SWEEP_CONTROLS = ['UNSUPERVISED_LATENT', 'RANDOM_LATENT', 'MEAN_DIFFERENCE'] as const;
export type SweepControl = (typeof SWEEP_CONTROLS)[number];
export const SWEEP_PLACEMENTS = ['LAST_TOKEN', 'ARMED'] as const;
export const SWEEP_POPULATIONS = ['VALIDATION', 'UNSEEN', 'SEEN'] as const;

/** Alphas as a slot counts them; the large ones are there for the controls, whose latents may need more. */
const ALPHAS = [0.25, 0.5, 0.75, 1, 1.25, 1.5, 2, 2.5, 5, 10, 20];

const distinct = <T>(items: readonly T[]) => new Set(items).size === items.length;

export const sweepSettings = z
  .object({
    seed: seed.default(0),
    methods: z
      .array(z.enum(SWAP_METHODS))
      .min(1)
      .refine(distinct, { error: 'must not repeat a method' })
      .default([...SWAP_METHODS]),
    alphas: z
      .array(z.number().min(-1000).max(1000))
      .min(1)
      .max(64)
      .refine(distinct, { error: 'must not repeat an alpha' })
      .default(ALPHAS),
    controls: z
      .array(z.enum(SWEEP_CONTROLS))
      .refine(distinct, { error: 'must not repeat a control' })
      .default([...SWEEP_CONTROLS]),
    /** Whose prompts are asked: the alignment's own division of the entities. */
    population: z.enum(SWEEP_POPULATIONS).default('UNSEEN'),
    /** Which phrasings are asked. */
    split: z.enum(SPLITS as [string, ...string[]]).default('TEST_OOD'),
    /** Only swaps that the alignment's counterfactuals were never shown: `withheldPairShare`, `withheldTargets`. */
    withheldOnly: z.boolean().default(false),
    placement: z.enum(SWEEP_PLACEMENTS).default('LAST_TOKEN'),
    /** Swaps tried for each pair of concepts, as far as there are prompts. */
    promptsPerPair: z.number().int().min(1).max(10_000).default(20),
    /** Prompts about other concepts, texts about others and texts about the source a pair; 0 leaves isolation out. */
    isolationPerPair: z.number().int().min(0).max(10_000).default(20),
  })
  .strict();

export type SweepSettings = Omit<z.output<typeof sweepSettings>, 'split'> & {
  split: (typeof SPLITS)[number];
};
export type SweepSettingsInput = z.input<typeof sweepSettings>;
