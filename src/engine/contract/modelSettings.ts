/** Settings of a model-training run; the defaults are the recipe for the generated biographies. */
import { z } from 'zod';
import { invalidInput, parseOrThrow } from '../../errors.ts';
import { count, namedObject, number, reading, whole } from './describe.ts';
import { seed } from './seed.ts';

export const modelSettings = namedObject(
  'ModelSettings',
  'How a language model is built and trained: a GPT-2-architecture transformer or the model that training begins with, next-token loss on answers and texts, AdamW with warm-up and a cosine schedule.',
  {
    seed: seed
      .describe('Seeds every random draw of the run; the same seed and settings give the same numbers again.')
      .default(0),
    nLayers: count(48).describe('Number of transformer blocks.').default(4),
    nHeads: count(64).describe('Attention heads a block; must divide `dModel`.').default(4),
    dModel: count(4096).describe('Width of the residual stream.').default(64),
    attentionOnlyBlocks: whole(0, 48)
      .describe(
        'So many blocks, from the first, have attention and no MLP: what they write can gather what is asked, and looks nothing up.',
      )
      .default(0),
    nCtx: count(4096).describe('Longest sequence in tokens.').default(32),
    // 0.02 is too small at width 64.
    initStd: z
      .number()
      .gt(0)
      .max(1)
      .describe('Standard deviation of the initial weights; null where they are those of a model.')
      .default(0.08),
    steps: count(10_000_000).describe('Number of training steps.').default(1000),
    batchSize: count(4096).describe('Sequences a training step.').default(64),
    textShare: number(0, 1)
      .describe('Share of a batch that are texts stating facts; the rest are questions.')
      .default(0.25),
    learningRate: z
      .number()
      .gt(0)
      .max(1)
      .describe('Peak learning rate, reached after the warm-up.')
      .default(4e-3),
    warmupSteps: whole(0, 10_000_000)
      .describe('Steps over which the learning rate rises from 0 to its peak.')
      .default(100),
    finalLearningRateShare: number(0, 1)
      .describe('The cosine schedule ends at this share of the peak learning rate.')
      .default(0.05),
    weightDecay: number(0, 10).describe('Decoupled weight decay of AdamW.').default(0.1),
    beta1: z
      .number()
      .min(0)
      .lt(1)
      .describe('Decay rate of AdamW for the mean of the gradients.')
      .default(0.9),
    beta2: z.number().min(0).lt(1).describe('Decay rate of AdamW for their squares.').default(0.98),
    clipNorm: z
      .number()
      .gt(0)
      .describe('Global gradient norm above which the gradient is scaled down.')
      .default(1),
    logEvery: count(1_000_000).describe('Metrics are logged every this many steps.').default(10),
  },
).superRefine(
  ({ dModel, nHeads, nLayers, attentionOnlyBlocks }, ctx) => {
    if (attentionOnlyBlocks >= nLayers && attentionOnlyBlocks > 0)
      ctx.addIssue({
        code: 'custom',
        path: ['attentionOnlyBlocks'],
        message: `attentionOnlyBlocks must be below nLayers (${nLayers}); got ${attentionOnlyBlocks}`,
      });
    if (dModel % nHeads !== 0)
      ctx.addIssue({
        code: 'custom',
        path: ['nHeads'],
        message: `nHeads must divide dModel (${dModel}); got ${nHeads}`,
      });
  },
  reading('dModel', 'nHeads', 'nLayers', 'attentionOnlyBlocks'),
);

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
  if (input.attentionOnlyBlocks)
    throw invalidInput(
      ['settings', 'attentionOnlyBlocks'],
      'attentionOnlyBlocks is of models that are made here; leave it out',
    );
  // The limits of the shape are of models that are made here.
  const { nLayers: _, nHeads: _1, dModel: _2, nCtx: _3, ...recipe } = input;
  const parsed = parseOrThrow(modelSettings, { ...FINE_TUNING_DEFAULTS, ...recipe }, ['settings']);
  return { ...parsed, ...shape, initStd: null };
}
