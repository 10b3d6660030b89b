/** What the training step computes: masked next-token loss, and the greedy predictions that accuracy counts. */
import * as tf from '@tensorflow/tfjs-core';
import type { ModelConfig } from '../contract/model.ts';
import { softmaxCrossEntropy } from '../ops.ts';
import type { EvalFunction, LossFunction } from '../step/stepper.ts';
import { logits } from './decoder.ts';

/** Mean cross-entropy over the targets whose mask is 1; the batch is `padBatch`'s. */
export function nextTokenLoss(config: ModelConfig): LossFunction {
  return (weights, { tokens, targets, mask }) => {
    const z = logits(config, weights, tokens as tf.Tensor2D); // [B, T, V]
    const [B, T, V] = z.shape;
    const flat = (x: tf.Tensor) => tf.reshape(x, [B * T]) as tf.Tensor1D;
    const losses = softmaxCrossEntropy(tf.reshape(z, [B * T, V]) as tf.Tensor2D, flat(targets!)); // [B·T]
    return { loss: tf.div(tf.sum(tf.mul(losses, flat(mask!))), tf.sum(mask!)) as tf.Scalar };
  };
}

/** `best [B, T]`: the likeliest next token at every position. */
export function greedyPredictions(config: ModelConfig): EvalFunction {
  return (weights, { tokens }) => ({ best: tf.argMax(logits(config, weights, tokens as tf.Tensor2D), -1) });
}
