/** What the terms of a loss see of the latents of a batch. */
import * as tf from '@tensorflow/tfjs-core';
import type { SaeConfig } from '../contract/sae.ts';
import { hasKernels } from '../native/rawOps.ts';
import type { Tensors } from '../step/stepper.ts';
import { activate, decode, type Latents, preActivations } from './autoencoder.ts';
import { decodeEntries, encodeEntries, spreadEntries } from './entries.ts';
import { batchTopK } from './ops.ts';

export interface Encoding {
  /** `[B, nConcepts]`. */
  slots: tf.Tensor2D;
  /** The free latents `[B, nFree]` after their activation. */
  free: () => tf.Tensor2D;
  /** The reconstruction `[B, dModel]` with these in the place of the slots. */
  decode: (slots: tf.Tensor2D) => tf.Tensor2D;
  /** The free latents before their activation, `[B, nFree]`; null where nothing revives dead ones. */
  pre: tf.Tensor2D | null;
}

/** The same in training. */
export interface TrainingEncoding extends Encoding {
  /** `BATCH_TOPK`: the smallest value that was kept. */
  smallest: tf.Scalar | null;
}

export function encodingOf(
  { activation }: SaeConfig,
  weights: Tensors,
  { free, slots }: Latents,
  pre: tf.Tensor2D | null = null,
): Encoding {
  return { slots, free: () => free, decode: (slots) => decode(weights, { free, slots }, activation), pre };
}

/**
 * `encode` in training, where `BATCH_TOPK` keeps the k · B largest of the batch.
 * @param needsPre Whether free latents are to be had before their activation.
 */
export function encodeBatch(
  config: SaeConfig,
  weights: Tensors,
  x: tf.Tensor2D,
  needsPre: boolean,
): TrainingEncoding {
  if (config.activation === 'TOPK' && hasKernels() && !needsPre) return encodeListed(config, weights, x);
  const { pre, slots } = preActivations(config, weights, x);
  if (config.activation !== 'BATCH_TOPK') {
    const free = activate(config, weights, pre);
    return { ...encodingOf(config, weights, { free, slots }, pre), smallest: null };
  }
  const { kept, smallest } = batchTopK(pre, config.k * x.shape[0]);
  return { ...encodingOf(config, weights, { free: kept, slots }, pre), smallest };
}

/** Top-k with lists of the latents that fire, behind which the slots stand. */
function encodeListed(
  { nFree, nConcepts, k }: SaeConfig,
  weights: Tensors,
  x: tf.Tensor2D,
): TrainingEncoding {
  const [B] = x.shape;
  const weight = weights['encoder.weight'] as tf.Tensor2D;
  const { values, at } = encodeEntries(x, weight, weights['encoder.bias'] as tf.Tensor1D, { k, free: nFree });
  const fired = tf.slice2d(values, [0, 0], [B, k]);
  const slots = tf.slice2d(values, [0, k], [B, nConcepts]);
  const firedAt = tf.slice2d(at, [0, 0], [B, k]);
  return {
    slots,
    free: () => spreadEntries({ values: fired, at: firedAt }, nFree),
    decode: (slots) =>
      decodeEntries(
        { values: nConcepts === 0 ? values : tf.concat2d([fired, slots], 1), at },
        weights['decoder.weight'] as tf.Tensor2D,
        weights['decoder.bias'] as tf.Tensor1D,
      ),
    pre: null,
    smallest: null,
  };
}
