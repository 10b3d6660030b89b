/** A small classifier with a gather, a hidden layer and a softmax: enough kinds of gradient, few enough numbers. */
import * as tf from '@tensorflow/tfjs-core';
import type { Arrays } from '../../../src/engine/contract/arrays.ts';
import { gatherRows } from '../../../src/engine/ops.ts';
import type {
  AdamWSettings,
  LossFunction,
  StepperOptions,
  Tensors,
} from '../../../src/engine/step/stepper.ts';
import { createRandom } from '../../../src/random.ts';

export const adamW: AdamWSettings = {
  beta1: 0.9,
  beta2: 0.98,
  epsilon: 1e-8,
  weightDecay: 0,
  clipNorm: null,
};

const [ROWS, WIDTH, HIDDEN, CLASSES] = [7, 4, 6, 3];

export function randomArrays(seed: number, shapes: Record<string, readonly number[]>): Arrays {
  return Object.fromEntries(
    Object.entries(shapes).map(([name, shape]) => {
      const random = createRandom(seed, name);
      const size = shape.reduce((product, dimension) => product * dimension, 1);
      return [name, { data: Float32Array.from({ length: size }, () => 0.5 * random.normal()), shape }];
    }),
  );
}

export const initialWeights = (): Arrays =>
  randomArrays(1, {
    table: [ROWS, WIDTH],
    'hidden.weight': [WIDTH, HIDDEN],
    'hidden.bias': [HIDDEN],
    'out.weight': [HIDDEN, CLASSES],
  });

/** `ids [n]` rows of the table, `classes [n]`. */
export function batchOf(n: number, seed = 0): Arrays {
  const random = createRandom(seed, 'batch');
  const draw = (max: number) => ({ data: Int32Array.from({ length: n }, () => random.int(max)), shape: [n] });
  return { ids: draw(ROWS), classes: draw(CLASSES) };
}

export function logits(weights: Tensors, ids: tf.Tensor): tf.Tensor2D {
  const rows = gatherRows(weights.table as tf.Tensor2D, ids as tf.Tensor1D);
  const hidden = tf.add(tf.matMul(rows, weights['hidden.weight'] as tf.Tensor2D), weights['hidden.bias']!);
  return tf.matMul(tf.tanh(hidden) as tf.Tensor2D, weights['out.weight'] as tf.Tensor2D);
}

export const crossEntropy: LossFunction = (weights, { ids, classes }) => {
  const z = logits(weights, ids!);
  const target = tf.cast(tf.oneHot(classes as tf.Tensor1D, CLASSES), 'float32');
  const loss = tf.neg(tf.mean(tf.sum(tf.mul(tf.logSoftmax(z), target), 1))) as tf.Scalar;
  return { loss, spread: tf.mean(tf.square(z)) as tf.Scalar };
};

export function classifier(overrides: Partial<StepperOptions> = {}): StepperOptions {
  return {
    weights: initialWeights(),
    optimizer: adamW,
    losses: { crossEntropy },
    evals: {
      logits: (weights, { ids }) => ({
        logits: logits(weights, ids!),
        best: tf.argMax(logits(weights, ids!), 1),
      }),
      loss: (weights, batch) => ({ loss: crossEntropy(weights, batch).loss }),
    },
    ...overrides,
  };
}

/** The loss whose gradient is what is fed: `Σ w · g` over all weights, whose batch tensors have their names. */
export const linearLoss: LossFunction = (weights, batch) => ({
  loss: Object.keys(weights)
    .map((name) => tf.sum(tf.mul(weights[name]!, batch[name]!)))
    .reduce((a, b) => tf.add(a, b)) as tf.Scalar,
});
