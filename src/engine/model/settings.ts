/** Settings of a model-training run; the defaults are the recipe for the generated biographies. */
import { z } from 'zod';

const count = (max: number) => z.number().int().min(1).max(max);
const finite = z.number();

export const modelSettings = z
  .object({
    /** Seeds every random draw of the run. */
    seed: z
      .number()
      .int()
      .min(0)
      .max(2 ** 31 - 1)
      .default(0),
    nLayers: count(48).default(4),
    nHeads: count(64).default(4),
    dModel: count(4096).default(64),
    nCtx: count(4096).default(32),
    /** Standard deviation of the initial weights; 0.02 is too small at width 64. */
    initStd: finite.positive().max(1).default(0.08),
    steps: count(10_000_000).default(1000),
    /** Sequences a step; `textShare` of them are texts, the rest questions. */
    batchSize: count(4096).default(64),
    textShare: finite.min(0).max(1).default(0.25),
    learningRate: finite.positive().max(1).default(4e-3),
    warmupSteps: z.number().int().min(0).default(100),
    /** The cosine schedule ends at this share of the learning rate. */
    finalLearningRateShare: finite.min(0).max(1).default(0.05),
    weightDecay: finite.min(0).max(10).default(0.1),
    beta1: finite.min(0).lt(1).default(0.9),
    beta2: finite.min(0).lt(1).default(0.98),
    /** Global gradient norm above which the gradient is scaled down. */
    clipNorm: finite.positive().default(1),
    /** A metrics row is logged every this many steps. */
    logEvery: count(1_000_000).default(10),
  })
  .strict()
  .refine((s) => s.dModel % s.nHeads === 0, {
    path: ['nHeads'],
    message: 'nHeads must divide dModel',
  });

export type ModelSettings = z.output<typeof modelSettings>;
export type ModelSettingsInput = z.input<typeof modelSettings>;
