/**
 * A training step as one unit: forward, gradients, clipping and AdamW over one set of weights. Loss functions are
 * pure functions of (weights, batch) with static shapes, no read-back, no branch on a value and no random draw, so
 * the same function runs eagerly on any backend and compiles to one native call on TensorFlow. Compiled, a function
 * runs in JavaScript only when it meets a batch shape for the first time, which costs up to a second or two: keep to
 * a few shapes, by padding where it must be. Tensors that it closes over become constants of the graph.
 */
import type { Scalar, Tensor } from '@tensorflow/tfjs-core';
import type { Arrays } from '../contract/arrays.ts';

export type Tensors = Record<string, Tensor>;

/** Returns `loss` (which is differentiated) and any further scalars to report, in one call. */
export type LossFunction = (weights: Tensors, batch: Tensors) => { loss: Scalar } & Record<string, Scalar>;

/** Returns named tensors computed from the weights, for evaluation and capture. */
export type EvalFunction = (weights: Tensors, batch: Tensors) => Tensors;

export interface AdamWSettings {
  beta1: number;
  beta2: number;
  epsilon: number;
  /** Decoupled decay, applied as `w -= learningRate · weightDecay · w` to the weights that `decays` accepts. */
  weightDecay: number;
  decays?: (name: string) => boolean;
  /** Global gradient norm above which all gradients are scaled down; null never clips. */
  clipNorm: number | null;
}

export interface StepperOptions {
  /** Initial weights by name; the stepper's from now on, so that large ones need not be there twice. */
  weights: Arrays;
  optimizer: AdamWSettings;
  /** Losses by name: stages of a curriculum over the same weights. */
  losses: Record<string, LossFunction>;
  /**
   * Names of the weights that a loss trains; absent means all. One that the loss does not reach stays as it is,
   * undecayed.
   */
  trainable?: Record<string, readonly string[]>;
  /** Evaluations by name over the same weights. */
  evals?: Record<string, EvalFunction>;
}

/** Everything that the next step depends on besides the batch; equal states go on with equal numbers. */
export interface StepperState {
  weights: Arrays;
  /** First and second moments, by weight name. */
  m: Arrays;
  v: Arrays;
  /** Updates done so far, for Adam's bias correction. */
  updates: number;
}

/** Owns its weights on the device until `dispose`; nothing else does. */
export interface Stepper {
  /**
   * One update by the named loss; returns its scalars, as they were before the update, and, when clipping, `gradNorm`.
   * @throws Error naming the batch tensor whose numbers do not fill its shape, or whose name, type or rank is not what
   * it was the first time; and, compiled, when the function is not pure.
   */
  step(loss: string, batch: Arrays, learningRate: number): Record<string, number>;
  /** Runs a named evaluation without touching the weights; booleans come back as integers. @throws Error as `step`. */
  evaluate(name: string, batch: Arrays): Promise<Arrays>;
  /** Replaces the moments by zeros and the update count by 0, for a new stage. */
  resetOptimizer(): void;
  /** A copy of weights, moments and count. */
  readState(): Promise<StepperState>;
  /** Goes on from a copy of `state`. @throws Error naming what does not fit the weights. */
  writeState(state: StepperState): void;
  dispose(): void;
}
