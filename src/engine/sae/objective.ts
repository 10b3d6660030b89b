/** The curriculum's two objectives as functions of (weights, batch), made of the terms in `terms.ts`. */
import * as tf from '@tensorflow/tfjs-core';
import type { SaeConfig } from '../contract/sae.ts';
import { once } from '../once.ts';
import type { EvalFunction, LossFunction, Tensors } from '../step/stepper.ts';
import { encode, foldDecoderNorm, THRESHOLD, valueLogits } from './autoencoder.ts';
import { type Encoding, encodeBatch, encodingOf } from './encoding.ts';
import { stopGradient } from './ops.ts';
import { type Encoded, type ObjectiveSettings, posttrainTerms, pretrainTerms, weighted } from './terms.ts';

/**
 * Stage 1, without labels: reconstruction and sparsity over all latents as one dictionary; batch `x [B, dModel]` and,
 * where dead latents are revived, `dead [nFree]`. With `TOPK` and `BATCH_TOPK` the k is the sparsity, in both stages.
 */
export function pretrainLoss(config: SaeConfig, settings: ObjectiveSettings): LossFunction {
  return lossOf(pretrainTerms, config, settings);
}

/** Stage 2, with labels; the batch is that of `labelledBatches`. Terms of weight 0 are not computed. */
export function posttrainLoss(config: SaeConfig, settings: ObjectiveSettings): LossFunction {
  const loss = lossOf(posttrainTerms, config, settings);
  if (!settings.freezeFree) return loss;
  return (trained, batch) => loss(freezeFree(config, trained), batch);
}

function lossOf(
  termsOf: typeof posttrainTerms,
  config: SaeConfig,
  settings: ObjectiveSettings,
): LossFunction {
  return (trained, batch) => {
    const weights = inForce(config, settings, trained);
    const latents = encodeBatch(config, weights, batch.x as tf.Tensor2D, batch.dead !== undefined);
    const terms = termsOf(encoded({ config, settings, weights, batch, latents }));
    const { smallest } = latents;
    // The smallest value that was kept is what training keeps a history of.
    return { ...weighted(terms, settings.weights), ...(smallest && { smallest }) };
  };
}

function encoded(given: Omit<Encoded, 'values'>): Encoded {
  const { config, weights, latents } = given;
  return { ...given, values: once(() => valueLogits(config, weights, latents.slots)) };
}

/** The same weights, to those of free latents of which no gradient passes. */
function freezeFree({ nFree, nConcepts, dModel }: SaeConfig, weights: Tensors): Tensors {
  const encoder = weights['encoder.weight'] as tf.Tensor2D;
  const bias = weights['encoder.bias'] as tf.Tensor1D;
  const decoder = weights['decoder.weight'] as tf.Tensor2D;
  return {
    ...weights,
    'encoder.weight': tf.concat2d(
      [
        stopGradient(tf.slice2d(encoder, [0, 0], [dModel, nFree])),
        tf.slice2d(encoder, [0, nFree], [dModel, nConcepts]),
      ],
      1,
    ),
    'encoder.bias': tf.concat1d([
      stopGradient(tf.slice1d(bias, 0, nFree)),
      tf.slice1d(bias, nFree, nConcepts),
    ]),
    'decoder.weight': tf.concat2d(
      [
        stopGradient(tf.slice2d(decoder, [0, 0], [nFree, dModel])),
        tf.slice2d(decoder, [nFree, 0], [nConcepts, dModel]),
      ],
      0,
    ),
  };
}

/** `rowsFired [nFree]`: rows of a training batch `x` on which each free latent fires. */
export function firedEval(config: SaeConfig, settings: ObjectiveSettings): EvalFunction {
  return (trained, { x }) => {
    const latents = encodeBatch(config, inForce(config, settings, trained), x as tf.Tensor2D, false);
    return { rowsFired: countFired(latents.free()) };
  };
}

/** How the SAE, used as it would be stored now, rebuilds `x [B, dModel]`; `BATCH_TOPK` takes `threshold [1]` too. */
export function reconstructionEval(config: SaeConfig, settings: ObjectiveSettings): EvalFunction {
  return (trained, batch) => {
    const weights = inUse(config, settings, trained, batch);
    return measured(encodingOf(config, weights, encode(config, weights, batch.x as tf.Tensor2D)), batch);
  };
}

/** The same on a labelled batch, with the loss and what tells whether slots are bound. */
export function validationEval(config: SaeConfig, settings: ObjectiveSettings): EvalFunction {
  return (trained, batch) => {
    const weights = inUse(config, settings, trained, batch);
    const latents = encodingOf(config, weights, encode(config, weights, batch.x as tf.Tensor2D));
    const given = encoded({ config, settings, weights, batch, latents });
    const measures: Tensors = {
      ...measured(latents, batch),
      loss: weighted(posttrainTerms(given), settings.weights).loss,
      slots: latents.slots, // [B, C]
    };
    if (config.valueHeads) measures.valueBest = tf.argMax(given.values(), 1); // [B]
    return measures;
  };
}

/** The weights that encode and decode, made of those that are trained. */
function inForce(
  config: SaeConfig,
  { decoderNorm }: Pick<ObjectiveSettings, 'decoderNorm'>,
  trained: Tensors,
): Tensors {
  return decoderNorm === 'UNIT' ? foldDecoderNorm(config, trained) : trained;
}

function inUse(config: SaeConfig, settings: ObjectiveSettings, trained: Tensors, batch: Tensors): Tensors {
  const weights = inForce(config, settings, trained);
  return batch[THRESHOLD] ? { ...weights, [THRESHOLD]: batch[THRESHOLD] } : weights;
}

/** Sums over the batch's rows. */
function measured({ reconstruction, free }: Encoding, { x }: Tensors): Tensors {
  return {
    squaredError: tf.sum(tf.squaredDifference(reconstruction(), x!)),
    rowsFired: countFired(free()), // [nFree]
  };
}

function countFired(free: tf.Tensor2D): tf.Tensor {
  return tf.sum(tf.cast(tf.notEqual(free, 0), 'float32'), 0);
}
