/** Settings of an unsupervised SAE: the first stage of an alignment alone, over a dictionary of the same size. */
import { z } from 'zod';
import { parseOrThrow } from '../../errors.ts';
import { ALIGNMENT_PRESETS } from './alignmentPresets.ts';
import {
  type AlignmentSettings,
  alignmentSettings,
  checkDictionary,
  type LossWeights,
} from './alignmentSettings.ts';

/** Sparse ones alone: the latents of a linear dictionary are any rotation of one another. */
export const BASELINE_ACTIVATIONS = ['RELU', 'TOPK', 'BATCH_TOPK'] as const;

const { PAPER } = ALIGNMENT_PRESETS;
const { shape } = alignmentSettings;
const { steps, learningRate, batchSize } = shape.pretrain.shape;

export const baselineSettings = z
  .object({
    seed: shape.seed.default(PAPER.seed),
    layer: shape.layer.default(PAPER.layer),
    nFree: shape.nFree,
    activation: z.enum(BASELINE_ACTIVATIONS).default('RELU'),
    k: shape.k.default(PAPER.k),
    decoderNorm: shape.decoderNorm.default(PAPER.decoderNorm),
    /** Weight of mean |f|, for `RELU`. */
    sparse: shape.weights.shape.sparse.default(15),
    /** Weight of the revival of dead latents. */
    aux: shape.weights.shape.aux.default(1 / 32),
    deadAfter: shape.deadAfter.default(PAPER.deadAfter),
    steps: steps.min(1).default(PAPER.pretrain.steps + PAPER.posttrain.steps),
    learningRate: learningRate.default(PAPER.pretrain.learningRate),
    batchSize: batchSize.default(PAPER.pretrain.batchSize),
    unseenShare: shape.unseenShare.default(PAPER.unseenShare),
    validationShare: shape.validationShare.default(PAPER.validationShare),
    /** Steps between two measurements of reconstruction on validation prompts. */
    validateEvery: shape.validateEvery.default(PAPER.validateEvery),
    logEvery: shape.logEvery.default(PAPER.logEvery),
  })
  .strict()
  .superRefine(checkDictionary);

export type BaselineSettings = z.output<typeof baselineSettings>;
export type BaselineSettingsInput = Partial<z.input<typeof baselineSettings>>;

/** Free latents that an alignment by the preset `PAPER` has; a baseline has one more for each concept. */
export const BASELINE_N_FREE = PAPER.nFree;

/**
 * Fills what the caller left out; `nFree` so that the SAE is as large as that of an alignment to `nConcepts`.
 * @throws {AppError} INVALID_INPUT with the path of the first setting that is not acceptable.
 */
export function resolveBaselineSettings(input: BaselineSettingsInput, nConcepts: number): BaselineSettings {
  const nFree = input.nFree ?? BASELINE_N_FREE + nConcepts;
  return parseOrThrow(baselineSettings, { ...input, nFree }, ['settings']);
}

const NO_WEIGHTS = Object.fromEntries(
  Object.keys(PAPER.weights).map((term) => [term, 0]),
) as unknown as LossWeights;

/**
 * The same as settings of an alignment without labels and without a second stage, so that training, and whoever edits
 * latents of a stored SAE, need not tell the two apart.
 */
export function asAlignmentSettings(settings: BaselineSettings): AlignmentSettings {
  const { sparse, aux, steps, learningRate, batchSize, ...shared } = settings;
  return {
    ...PAPER,
    ...shared,
    mode: 'SEPARATE_ACTIVATION',
    weights: { ...NO_WEIGHTS, bindLogitScale: PAPER.weights.bindLogitScale, recon: 1, sparse, aux },
    pretrain: { steps, learningRate, batchSize },
    posttrain: { ...PAPER.posttrain, steps: 0 },
  };
}
