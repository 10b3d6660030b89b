/** Settings of an unsupervised SAE: the first stage of an alignment alone, over a dictionary of the same size. */
import type { z } from 'zod';
import { parseOrThrow } from '../../errors.ts';
import { ALIGNMENT_PRESETS } from './alignmentPresets.ts';
import {
  type AlignmentSettings,
  alignmentSettings,
  checkShares,
  checkTopK,
  encoderActivation,
  type LossWeights,
} from './alignmentSettings.ts';
import { namedObject, reading, someOf, withFallback } from './describe.ts';

const { PAPER } = ALIGNMENT_PRESETS;
const { shape } = alignmentSettings;
const weights = shape.weights.unwrap().shape;
const { steps, learningRate, batchSize } = shape.pretrain.unwrap().shape;

/** Free latents that an alignment by the preset `PAPER` has; a baseline has one more for each concept. */
export const BASELINE_N_FREE = PAPER.nFree;

export const baselineSettings = namedObject(
  'BaselineSettings',
  'How an SAE is trained without labels, to compare an alignment with. The defaults give it the size, the activations and the number of steps of an alignment by the preset PAPER; give it the layer, the seed and the shares of that alignment.',
  {
    seed: shape.seed.describe(
      'Seeds every random draw, also which entities are unseen; the same seed and settings give the same numbers again.',
    ),
    layer: shape.layer.describe(
      'Block whose output (`blocks.{layer}.resid_post`) is read; -1 is the stream before the first.',
    ),
    positions: shape.positions,
    nFree: withFallback(
      shape.nFree.unwrap().describe('Number of latents, all of them free.'),
      `${BASELINE_N_FREE} + the number of concepts`,
    ),
    // Sparse ones alone: the latents of a linear dictionary are any rotation of one another.
    activation: someOf(encoderActivation, ['RELU', 'TOPK', 'BATCH_TOPK'])
      .describe('Non-linearity of the encoder.')
      .default('RELU'),
    k: shape.k.describe(
      'Latents that stay active per activation: at most so many for TOPK, at most so many on the mean of a training batch for BATCH_TOPK.',
    ),
    decoderNorm: shape.decoderNorm.describe('In which units latents count.'),
    sparse: weights.sparse
      .unwrap()
      .describe('Weight of mean |f| for RELU; that of reconstruction is 1.')
      .default(15),
    aux: weights.aux
      .unwrap()
      .describe(
        'Weight of the revival of dead latents (Gao et al. 2024): the dModel / 2 strongest latents that have not fired for `deadAfter` steps rebuild what the others leave over.',
      )
      .default(1 / 32),
    deadAfter: shape.deadAfter.describe(
      'Training steps without firing after which a latent counts as dead for `aux`.',
    ),
    steps: steps
      .unwrap()
      .min(1)
      .describe('Number of training steps.')
      .default(PAPER.pretrain.steps + PAPER.posttrain.steps),
    learningRate,
    batchSize,
    trainOn: shape.pretrainOn
      .unwrap()
      .describe('Which activations it learns from. TEXTS needs a corpus.')
      .default('PROMPTS'),
    texts: shape.texts,
    unseenShare: shape.unseenShare.describe('Share of entities that the SAE never sees.'),
    validationShare: shape.validationShare.describe(
      'Share of entities that the SAE never sees and that an alignment chooses alpha by.',
    ),
    validateEvery: shape.validateEvery.describe(
      'Steps between measurements of reconstruction on validation prompts.',
    ),
    logEvery: shape.logEvery,
  },
)
  .superRefine(checkTopK, reading('activation', 'k', 'nFree'))
  .superRefine(checkShares, reading('unseenShare', 'validationShare'));

export type BaselineSettings = z.output<typeof baselineSettings>;
export type BaselineSettingsInput = Partial<z.input<typeof baselineSettings>>;

/**
 * Fills what the caller left out; `nFree` so that the SAE is as large as that of an alignment to `nConcepts`.
 * @throws {AppError} INVALID_INPUT with the path of each setting that is not acceptable.
 */
export function resolveBaselineSettings(input: BaselineSettingsInput, nConcepts: number): BaselineSettings {
  const nFree = input.nFree ?? BASELINE_N_FREE + nConcepts;
  return parseOrThrow(baselineSettings, { ...input, nFree }, ['settings']);
}

const NO_WEIGHTS = Object.fromEntries(Object.keys(PAPER.weights).map((term) => [term, 0])) as LossWeights;

/**
 * The same as settings of an alignment without labels and without a second stage, so that training, and whoever edits
 * latents of a stored SAE, need not tell the two apart.
 */
export function asAlignmentSettings(settings: BaselineSettings): AlignmentSettings {
  const { sparse, aux, steps, learningRate, batchSize, trainOn, ...shared } = settings;
  return {
    ...PAPER,
    ...shared,
    pretrainOn: trainOn,
    mode: 'SEPARATE_ACTIVATION',
    weights: { ...NO_WEIGHTS, bindLogitScale: PAPER.weights.bindLogitScale, recon: 1, sparse, aux },
    pretrain: { ...PAPER.pretrain, steps, learningRate, batchSize },
    posttrain: { ...PAPER.posttrain, steps: 0 },
  };
}
