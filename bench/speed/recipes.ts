/** Work at the sizes that the comparisons and the growth table take. */

import { resolveAlignmentSettings } from '../../src/engine/contract/alignmentPresets.ts';
import { type LossWeights, lossWeights } from '../../src/engine/contract/alignmentSettings.ts';
import type { ModelConfig } from '../../src/engine/contract/model.ts';
import { rowsPerConcept } from '../../src/engine/sae/batches.ts';
import type { ModelStepWork, Optimizer, PosttrainWork, PretrainWork } from './work.ts';

const NO_TERMS = {
  ...(Object.fromEntries(Object.keys(lossWeights.shape).map((term) => [term, 0])) as LossWeights),
  recon: 1,
  bindLogitScale: 1,
};
/** The authors' terms and weights. */
const CURRICULUM: LossWeights = {
  ...NO_TERMS,
  sparse: 1e-3,
  bindMse: 1,
  indep: 1e-2,
  ortho: 1e-2,
  value: 0.5,
};
/** Those of the preset `PAPER`. */
export const PAPER: LossWeights = resolveAlignmentSettings({ preset: 'PAPER' }).weights;
const { weights, activation, silentRows } = resolveAlignmentSettings({ preset: 'COUNTERFACTUAL' });
/** What the preset `COUNTERFACTUAL` computes. */
export const COUNTERFACTUAL = { coefficients: weights, activation, silentRows };
const ADAM: Optimizer = {
  learningRate: 1e-3,
  beta1: 0.9,
  beta2: 0.999,
  epsilon: 1e-8,
  weightDecay: 0,
  clipNorm: null,
};

/** The authors' sizes. */
export const ONE_HOP = { dModel: 768, nFree: 10_000, nConcepts: 6 };
export const TWO_HOP = { dModel: 512, nFree: 100_000, nConcepts: 20 };
/** Those of an alignment by the API's defaults. */
export const DEFAULTS = { dModel: 64, nFree: 1024, nConcepts: 6 };
type Size = Pick<PosttrainWork, 'dModel' | 'nFree' | 'nConcepts'>;

/** Post-training with all terms of the paper; `batch` is rounded to equally many rows a concept. */
export function posttrain(size: Size, batch: number, more: Partial<PosttrainWork> = {}): PosttrainWork {
  return {
    kind: 'POSTTRAIN',
    ...size,
    rows: size.nConcepts * rowsPerConcept(batch, size.nConcepts),
    activation: 'LINEAR',
    k: 32,
    firing: null,
    decoderNorm: 'FREE',
    valueHidden: 256,
    dVocab: 365,
    silentRows: 0,
    coefficients: CURRICULUM,
    optimizer: ADAM,
    ...more,
  };
}

/**
 * Pre-training as SAELens' trainer does it. Its squared error is summed over dModel and its L1 over latents, each times
 * the length of its decoder row; ours are means, so the weights differ by those counts.
 */
export function pretrain(
  size: Omit<Size, 'nConcepts'>,
  rows: number,
  more: Pick<PretrainWork, 'activation' | 'decoderNorm'> & Partial<PretrainWork>,
): PretrainWork {
  return {
    kind: 'PRETRAIN',
    dModel: size.dModel,
    nFree: size.nFree,
    rows,
    k: 32,
    firing: null,
    coefficients: { ...NO_TERMS, recon: size.dModel, sparse: more.activation === 'TOPK' ? 0 : size.nFree },
    optimizer: { ...ADAM, learningRate: 3e-4, clipNorm: 1 },
    ...more,
  };
}

/** A training step of a model of these sizes, 64 rows a batch. */
export function modelStep(dModel: number, nLayers: number, tokens: number): ModelStepWork {
  const sizes = { nLayers, nHeads: 4, dModel, dMlp: 4 * dModel, nCtx: tokens, dVocab: 365 };
  return modelStepOf({ ...sizes, layerNormEps: 1e-5 }, 64, tokens);
}

/** A training step of a model. */
export function modelStepOf(config: ModelConfig, rows: number, tokens: number, asks = false): ModelStepWork {
  const optimizer = { ...ADAM, beta2: 0.98, weightDecay: 0.1, clipNorm: 1 };
  return { kind: 'MODEL_STEP', config, rows, tokens, asks, optimizer };
}

export const GPT2_SMALL = {
  nLayers: 12,
  nHeads: 12,
  dModel: 768,
  dMlp: 3072,
  nCtx: 1024,
  dVocab: 50_257,
  layerNormEps: 1e-5,
};

/** SmolLM2-135M. */
export const SMOLLM2 = {
  nLayers: 30,
  nHeads: 9,
  dModel: 576,
  dMlp: 1536,
  nCtx: 8192,
  dVocab: 49_152,
  layerNormEps: 1e-5,
  decoder: {
    architecture: 'llama',
    norm: 'RMS',
    normsOutputs: false,
    parallel: false,
    rotary: { dims: 64, base: 100_000, scaling: null },
    attention: { nKeyValueHeads: 3, dHead: 64, cap: null, normsQueriesKeys: false, window: null },
    mlp: { activation: 'SILU', gated: true },
    biases: { queriesKeysValues: false, attentionOutput: false, mlp: false },
    embeddingScale: 1,
    logitCap: null,
    tied: true,
  },
} as const satisfies ModelConfig;
