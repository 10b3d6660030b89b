/** What the training step computes: next-token loss, and the greedy predictions that accuracy counts. */
import * as tf from '@tensorflow/tfjs-core';
import type { ModelConfig } from '../contract/model.ts';
import { softmaxCrossEntropy } from '../ops.ts';
import type { EvalFunction, LossFunction } from '../step/stepper.ts';
import { packedLogits } from './decoder.ts';

/** Mean cross-entropy over the targets whose mask is 1; the batch is `packBatch`'s, of sequences of at most T inputs. */
export function nextTokenLoss(config: ModelConfig, T: number): LossFunction {
  return (weights, batch) => {
    const { targets, mask } = batch as Record<string, tf.Tensor1D>;
    const losses = softmaxCrossEntropy(packedLogits(config, weights, batch, T), targets!); // [R]
    return { loss: tf.div(tf.sum(tf.mul(losses, mask!)), tf.sum(mask!)) as tf.Scalar };
  };
}

/** `best [R]`: the likeliest token in the place of every target. */
export function greedyPredictions(config: ModelConfig, T: number): EvalFunction {
  return (weights, batch) => ({ best: tf.argMax(packedLogits(config, weights, batch, T), -1) });
}
