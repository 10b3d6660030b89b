/** What the terms of a loss see of the latents of a batch. */
import * as tf from '@tensorflow/tfjs-core';
import type { SaeConfig } from '../contract/sae.ts';
import { hasKernels } from '../native/rawOps.ts';
import type { Tensors } from '../step/stepper.ts';
import { activate, decode, decodeJoined, joinLatents, type Latents, preActivations } from './autoencoder.ts';

import { decodeEntries, encodeEntries, spreadEntries } from './entries.ts';
import { batchTopK } from './ops.ts';

export interface Encoding {
  /** `[B, nConcepts]`. */
  slots: tf.Tensor2D;
  /** The free latents `[B, nFree]` after their activation. */
  free: () => tf.Tensor2D;
  /** Free latents and slots as one matrix, `[B, nFree + nConcepts]`. */
  all: () => tf.Tensor2D;
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
  { activation, nFree }: SaeConfig,
  weights: Tensors,
  latents: Latents,
  { pre, joined }: { pre?: tf.Tensor2D; joined?: tf.Tensor2D } = {},
): Encoding {
  const { free, slots } = latents;
  const all = once(() => joined ?? joinLatents(latents));
  const ofOthers = (slots: tf.Tensor2D) => decode(weights, { free, slots }, activation);
  const ofThese = () => decodeJoined(weights, all(), activation === 'LINEAR' ? 0 : nFree);
  return {
    slots,
    free: () => free,
    all,
    decode: (given) => (given === slots ? ofThese() : ofOthers(given)),
    pre: pre ?? null,
  };
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

/** `make`, run when its result is first asked for. */
export function once<T>(make: () => T): () => T {
  let made: T | undefined;
  return () => (made ??= make());
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
  const free = once(() => spreadEntries({ values: fired, at: firedAt }, nFree));
  return {
    slots,
    free,
    all: () => joinLatents({ free: free(), slots }),
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
