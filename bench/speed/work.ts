/** The pieces of work that are timed, as plain data: both sides are told the same. */

import type {
  DecoderNorm,
  EncoderActivation,
  LossWeights,
} from '../../src/engine/contract/alignmentSettings.ts';
import type { ModelConfig } from '../../src/engine/contract/model.ts';

export interface Optimizer {
  learningRate: number;
  beta1: number;
  beta2: number;
  epsilon: number;
  weightDecay: number;
  /** Null never clips. */
  clipNorm: number | null;
}

interface SaeWork {
  dModel: number;
  nFree: number;
  /** Rows of a batch. */
  rows: number;
  activation: EncoderActivation;
  /** Active latents a row, for `TOPK`. */
  k: number;
  /** Share of the free latents that fire at the start, by their bias; null leaves the bias at 0. */
  firing: number | null;
  decoderNorm: DecoderNorm;
  coefficients: LossWeights;
  optimizer: Optimizer;
}

/** A step of the curriculum's second stage, with value heads; `rows` are equally many of each concept. */
export interface PosttrainWork extends SaeWork {
  kind: 'POSTTRAIN';
  nConcepts: number;
  valueHidden: number;
  dVocab: number;
  /** Rows where no concept is in play, for the term `silence`. */
  silentRows: number;
}

/** A step of the first stage, over one dictionary without slots. */
export interface PretrainWork extends SaeWork {
  kind: 'PRETRAIN';
}

interface ModelWork {
  config: ModelConfig;
  rows: number;
  /** Tokens a row. */
  tokens: number;
}

/** A training step of a language model. */
export interface ModelStepWork extends ModelWork {
  kind: 'MODEL_STEP';
  /** Whether rows are questions of different lengths, up to all tokens, and their answers alone are learned. */
  asks: boolean;
  optimizer: Optimizer;
}

/** `blocks.{layer}.resid_post` at every position; the blocks above do not run. */
export interface CaptureWork extends ModelWork {
  kind: 'CAPTURE';
  layer: number;
}

/** Greedy generation with a key–value cache. */
export interface GenerateWork extends ModelWork {
  kind: 'GENERATE';
  newTokens: number;
}

/** Reading an SAE of this layer: its latents, and edits of them. */
interface ReadingWork extends ModelWork {
  layer: number;
  nFree: number;
  nConcepts: number;
}

/** One prompt, which all rows have, continued under an edit of a slot at as many strengths as there are rows. */
export interface SteerWork extends ReadingWork {
  kind: 'STEER';
  newTokens: number;
}

/** The strongest latents at every token of one text. */
export interface ActivationsWork extends ReadingWork {
  kind: 'ACTIVATIONS';
}

/** The same asked of a running server over HTTP, on SmolLM2 itself. */
export interface ServedWork {
  kind: 'SERVED';
  what: 'ACTIVATIONS' | 'STEER';
  layer: number;
  nFree: number;
  /** Of the text. */
  tokens: number;
  newTokens: number;
}

/** Concept swaps of every pair of six concepts, whole answers generated. */
export interface SweepWork {
  kind: 'SWEEP';
  promptsPerPair: number;
  alphas: number[];
}

/** Nothing but finding out what the machine can do. */
export interface MachineWork {
  kind: 'MACHINE';
}

/** Work that begins with weights and a batch. */
export type GivenWork =
  | PosttrainWork
  | PretrainWork
  | ModelStepWork
  | CaptureWork
  | GenerateWork
  | SteerWork
  | ActivationsWork;
export type Work = GivenWork | ServedWork | SweepWork | MachineWork;
