/** Settings of a model-training run; the defaults are the recipe for the generated biographies. */
import { z } from 'zod';
import { invalidInput, parseOrThrow } from '../../errors.ts';
import { seed } from './seed.ts';

const count = (max: number) => z.number().int().min(1).max(max);
const finite = z.number();

export const modelSettings = z
  .object({
    /** Seeds every random draw of the run. */
    seed: seed.default(0),
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

export type ModelSettingsInput = z.input<typeof modelSettings>;
export interface ModelSettings extends Omit<z.output<typeof modelSettings>, 'initStd'> {
  /** Null where training begins with the weights of a model. */
  initStd: number | null;
}

type ModelShape = Pick<ModelSettings, 'nLayers' | 'nHeads' | 'dModel' | 'nCtx'>;

/** Other defaults for training that begins with a model's weights: small steps, and answers alone are learned. */
export const FINE_TUNING_DEFAULTS = {
  textShare: 0,
  learningRate: 5e-5,
  weightDecay: 0.01,
  beta2: 0.999,
} as const satisfies Partial<ModelSettingsInput>;

/**
 * The settings in force, defaults filled in; `initial` is the shape of the model that training begins with.
 * @throws {AppError} INVALID_INPUT naming the setting that is not acceptable, or that `initial` contradicts.
 */
export function resolveModelSettings(input: ModelSettingsInput, initial: ModelShape | null): ModelSettings {
  if (!initial) return parseOrThrow(modelSettings, input, ['settings']);
  const { nLayers, nHeads, dModel, nCtx } = initial;
  const shape = { nLayers, nHeads, dModel, nCtx };
  for (const [key, value] of Object.entries(shape)) {
    const given = input[key as keyof typeof shape];
    if (given !== undefined && given !== value)
      throw invalidInput(['settings', key], `${key} of the model is ${value}, got ${given}; leave it out`);
  }
  if (input.initStd !== undefined)
    throw invalidInput(['settings', 'initStd'], 'initStd is of weights that are drawn; a model has its own');
  return {
    ...parseOrThrow(modelSettings, { ...FINE_TUNING_DEFAULTS, ...input, ...shape }, ['settings']),
    initStd: null,
  };
}
