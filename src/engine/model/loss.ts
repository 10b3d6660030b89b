/** What the training step computes: masked next-token loss, and the greedy predictions that accuracy counts. */
import * as tf from '@tensorflow/tfjs-core';
import type { EvalFunction, LossFunction } from '../step/stepper.ts';
import { logits } from './gpt2.ts';
import type { ModelConfig } from './job.ts';

/** Mean cross-entropy over the targets whose mask is 1; the batch is `padBatch`'s. */
export function nextTokenLoss(config: ModelConfig): LossFunction {
  return (weights, { tokens, targets, mask }) => {
    const z = logits(config, weights, tokens as tf.Tensor2D); // [B, T, V]
    const losses = tf.neg(tf.sum(tf.mul(tf.logSoftmax(z), oneHot(targets!, config.dVocab)), -1)); // [B, T]
    return { loss: tf.div(tf.sum(tf.mul(losses, mask!)), tf.sum(mask!)) as tf.Scalar };
  };
}

/** `best [B, T]`: the likeliest next token at every position. */
export function greedyPredictions(config: ModelConfig): EvalFunction {
  return (weights, { tokens }) => ({ best: tf.argMax(logits(config, weights, tokens as tf.Tensor2D), -1) });
}

function oneHot(indices: tf.Tensor, depth: number): tf.Tensor {
  return tf.oneHot(indices, depth, 1, 0, 'float32');
}
