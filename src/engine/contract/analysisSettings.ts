/** Settings of the analysis of a checkpoint. */
import { z } from 'zod';
import { PRESETS } from './alignmentSettings.ts';
import { seed } from './seed.ts';

const count = (max: number) => z.number().int().min(1).max(max);

export const grokSettings = z
  .object({
    /** Seeds every random draw. */
    seed: seed.default(0),
    /** Block whose `resid_post` is read, 0-based; −1 is the stream before the first block. */
    layer: z.number().int().min(-1).max(47).default(0),
    /** The terms that the SAE is trained by, and its activation. */
    preset: z.enum(PRESETS).default('COUNTERFACTUAL'),
    /** Share of (entity, relation) pairs, E2 being the entity of the second hop, that no counterfactual leads to. */
    withheldPairShare: z.number().min(0).max(0.9).default(0.2),
    nFree: count(1_000_000).default(512),
    /** One SAE over both positions, with one slot a relation; otherwise one SAE for each. */
    shared: z.boolean().default(true),
    pretrainSteps: z.number().int().min(0).max(1_000_000).default(200),
    posttrainSteps: z.number().int().min(0).max(1_000_000).default(400),
    /** Questions of a split that are measured on, at most, drawn by the seed. */
    maxQuestions: count(1_000_000).default(2000),
  })
  .strict();

export type GrokSettings = z.output<typeof grokSettings>;
export type GrokSettingsInput = z.input<typeof grokSettings>;
