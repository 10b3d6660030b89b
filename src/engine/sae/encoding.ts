/** What the terms of a loss see of the latents of a batch. */
import * as tf from '@tensorflow/tfjs-core';
import type { SaeConfig } from '../contract/sae.ts';
import { hasKernels } from '../native/rawOps.ts';
import { once } from '../once.ts';
import type { Tensors } from '../step/stepper.ts';
import {
  activate,
  decodeJoined,
  decodeSlots,
  joinLatents,
  type Latents,
  preActivations,
} from './autoencoder.ts';
import { decodeEntries, encodeEntries, spreadEntries } from './entries.ts';
import { batchTopK } from './ops.ts';

export interface Encoding {
  /** `[B, nConcepts]`. */
  slots: tf.Tensor2D;
  /** The free latents `[B, nFree]` after their activation. */
  free: () => tf.Tensor2D;
  /** Free latents and slots as one matrix, `[B, nFree + nConcepts]`. */
  all: () => tf.Tensor2D;
  /** `x̂ [B, dModel]`. */
  reconstruction: () => tf.Tensor2D;
  /** The same with these in the place of the slots. */
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
  config: SaeConfig,
  weights: Tensors,
  latents: Latents,
  { pre, joined }: { pre?: tf.Tensor2D; joined?: tf.Tensor2D } = {},
): Encoding {
  const { free, slots } = latents;
  const all = once(() => joined ?? joinLatents(latents));
  const active = config.activation === 'LINEAR' ? 0 : config.nFree;
  const reconstruction = once(() => decodeJoined(weights, all(), active));
  const decode = decodeWith(config, weights, slots, reconstruction);
  return { slots, free: () => free, all, reconstruction, decode, pre: pre ?? null };
}

/** Other slots at the price of their own columns: all else of a reconstruction stays. */
function decodeWith(
  config: SaeConfig,
  weights: Tensors,
  slots: tf.Tensor2D,
  reconstruction: () => tf.Tensor2D,
): Encoding['decode'] {
  return (others) => tf.add(reconstruction(), decodeSlots(config, weights, tf.sub(others, slots)));
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
  const { all, pre, slots } = preActivations(config, weights, x);
  if (config.activation !== 'BATCH_TOPK') {
    const free = activate(config, weights, pre);
    const known = config.activation === 'LINEAR' ? { pre, joined: all } : { pre };
    return { ...encodingOf(config, weights, { free, slots }, known), smallest: null };
  }
  const { kept, smallest } = batchTopK(pre, config.k * x.shape[0]);
  return { ...encodingOf(config, weights, { free: kept, slots }, { pre }), smallest };
}

/** Top-k with lists of the latents that fire, behind which the slots stand. */
function encodeListed(config: SaeConfig, weights: Tensors, x: tf.Tensor2D): TrainingEncoding {
  const { nFree, nConcepts, k } = config;
  const [B] = x.shape;
  const weight = weights['encoder.weight'] as tf.Tensor2D;
  const { values, at } = encodeEntries(x, weight, weights['encoder.bias'] as tf.Tensor1D, { k, free: nFree });
  const fired = tf.slice2d(values, [0, 0], [B, k]);
  const slots = tf.slice2d(values, [0, k], [B, nConcepts]);
  const firedAt = tf.slice2d(at, [0, 0], [B, k]);
  const free = once(() => spreadEntries({ values: fired, at: firedAt }, nFree));
  const decoder = weights['decoder.weight'] as tf.Tensor2D;
  const bias = weights['decoder.bias'] as tf.Tensor1D;
  const reconstruction = once(() => decodeEntries({ values, at }, decoder, bias));
  return {
    slots,
    free,
    all: () => joinLatents({ free: free(), slots }),
    reconstruction,
    decode: decodeWith(config, weights, slots, reconstruction),
    pre: null,
    smallest: null,
  };
}
