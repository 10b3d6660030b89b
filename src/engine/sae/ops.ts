/** Operations with a gradient of their own, which the SAE's encoder and losses need. */
import * as tf from '@tensorflow/tfjs-core';
import { attribute, hasKernels, rawOp, rawOps } from '../native/rawOps.ts';

/**
 * Keeps the k largest of each row and zeroes the others; equal values count from the left. `x [rows, width]`; the
 * gradient passes where a value was kept.
 */
export function topK(x: tf.Tensor2D, k: number): tf.Tensor2D {
  return keepWhere(x, (values) => keptMask(values, k));
}

/** `max(x, 0)`. */
export function relu<T extends tf.Tensor>(x: T): T {
  return hasKernels() ? gated(x, tf.relu) : tf.relu(x);
}

/** The k largest of each row that are above 0, of equal ones the leftmost; the others become 0. */
export function topKRelu(x: tf.Tensor2D, k: number): tf.Tensor2D {
  if (!hasKernels()) return tf.relu(topK(x, k));
  return gated(x, (values) => rawOp('AlignsaeTopK', [attribute.int('k', k)], [values]));
}

/** A function whose gradient passes where its value is not 0. */
function gated<T extends tf.Tensor>(x: T, run: (x: T) => tf.Tensor): T {
  const op = tf.customGrad((...args) => {
    const [x, save] = args as unknown as [T, tf.GradSaveFunc];
    const value = run(x);
    save([value]);
    const gradFunc = (dy: tf.Tensor, saved: tf.Tensor[]) => rawOp('AlignsaeGate', [], [dy, saved[0]!]);
    return { value, gradFunc };
  });
  return op(x) as T;
}

/**
 * `[3]`: mean |f|, `Σ_{i≠j} C²ᵢⱼ` with `C = FᵀF / B`, and `‖SᵀF / B‖²`, for the free latents `f [B, nFree]`, F the same
 * centred, and S the centred slots `[B, C]`: the terms `sparse`, `indep` and `ortho` of the losses in one pass, with the
 * addon's kernels; 0 for the second where it is not asked for, which costs two products of `[B, B]` and `[B, nFree]`.
 */
export function penalties(free: tf.Tensor2D, slots: tf.Tensor2D, asksIndep: boolean): tf.Tensor1D {
  const asked = attribute.int('indep', Number(asksIndep));
  const op = tf.customGrad((...args) => {
    const [free, slots, save] = args as unknown as [tf.Tensor2D, tf.Tensor2D, tf.GradSaveFunc];
    const [terms, ...needed] = rawOps('AlignsaePenalties', [asked], [free, slots], 5) as [
      tf.Tensor,
      ...tf.Tensor[],
    ];
    save([free, slots, ...needed]);
    const gradFunc = (dy: tf.Tensor, saved: tf.Tensor[]) =>
      rawOps('AlignsaePenaltiesGradient', [asked], [dy, ...saved], 2);
    return { value: terms, gradFunc };
  });
  return op(free, slots) as tf.Tensor1D;
}

/**
 * Keeps the positive values among the `count` largest of the whole batch and zeroes the others (BatchTopK, Bussmann et
 * al. 2024); values equal to the smallest of them are all kept. `x [rows, width]`; the gradient passes where a value
 * was kept. `smallest` is the least value kept, `NOTHING_KEPT` where there is none; no gradient passes through it.
 */
export function batchTopK(x: tf.Tensor2D, count: number): { kept: tf.Tensor2D; smallest: tf.Scalar } {
  const kept = keepWhere(x, (values) => {
    const largest = tf.topk(tf.reshape(values, [x.size]), count).values as tf.Tensor1D; // descending
    const least = tf.slice1d(largest, count - 1, 1);
    const isKept = tf.logicalAnd(tf.greaterEqual(values, least), tf.greater(values, 0));
    return tf.cast(isKept, 'float32') as tf.Tensor2D;
  });
  const smallest = tf.min(tf.where(tf.greater(kept, 0), kept, tf.fill(x.shape, NOTHING_KEPT)));
  return { kept, smallest: smallest as tf.Scalar };
}

/** Stands for the least of no values. */
export const NOTHING_KEPT = 1e30;

/** Keeps what is above 0 and above its column's threshold `[width]`, which no gradient reaches; `x [rows, width]`. */
export function aboveThreshold(x: tf.Tensor2D, threshold: tf.Tensor): tf.Tensor2D {
  return keepWhere(x, (values) => {
    const isKept = tf.logicalAnd(tf.greater(values, threshold), tf.greater(values, 0));
    return tf.cast(isKept, 'float32') as tf.Tensor2D;
  });
}

/** `x` times a mask of zeros and ones that depends on it; the gradient passes where the mask is 1. */
export function keepWhere(x: tf.Tensor2D, maskOf: (x: tf.Tensor2D) => tf.Tensor2D): tf.Tensor2D {
  const op = tf.customGrad((...args) => {
    const [x, save] = args as unknown as [tf.Tensor2D, tf.GradSaveFunc];
    const mask = maskOf(x);
    save([mask]);
    const gradFunc = (dy: tf.Tensor, saved: tf.Tensor[]) => tf.mul(dy, saved[0]!);
    return { value: tf.mul(x, mask), gradFunc };
  });
  return op(x) as tf.Tensor2D;
}

/** `[rows, width]`: 1 where the value is among its row's k largest. */
export function keptMask(x: tf.Tensor2D, k: number): tf.Tensor2D {
  const [rows, width] = x.shape;
  const { indices } = tf.topk(x, k); // [rows, k]
  const starts = tf.expandDims(tf.mul(tf.range(0, rows, 1, 'int32'), tf.scalar(width, 'int32')), 1);
  const flat = tf.reshape(tf.add(indices, starts), [rows * k, 1]);
  return tf.reshape(tf.scatterND(flat, tf.ones([rows * k]), [rows * width]), [rows, width]);
}

/** The same values, through which no gradient passes. */
export function stopGradient<T extends tf.Tensor>(x: T): T {
  const op = tf.customGrad((...args) => ({
    value: tf.clone(args[0] as tf.Tensor),
    gradFunc: (dy: tf.Tensor) => tf.zerosLike(dy),
  }));
  return op(x) as T;
}

/** `Σ x²`. tfjs's own gradient of a sum multiplies by ones of `x`'s shape, built in JavaScript; this one does not. */
export function sumSquares(x: tf.Tensor): tf.Scalar {
  const op = tf.customGrad((...args) => {
    const [x, save] = args as unknown as [tf.Tensor, tf.GradSaveFunc];
    save([x]);
    const gradFunc = (dy: tf.Tensor, saved: tf.Tensor[]) => tf.mul(saved[0]!, tf.mul(dy, 2));
    return { value: tf.sum(tf.square(x)), gradFunc };
  });
  return op(x) as tf.Scalar;
}

/** `mean(|x|)`, with 0 as the gradient at 0. */
export function meanAbs(x: tf.Tensor): tf.Scalar {
  const op = tf.customGrad((...args) => {
    const [x, save] = args as unknown as [tf.Tensor, tf.GradSaveFunc];
    save([x]);
    const gradFunc = (dy: tf.Tensor, saved: tf.Tensor[]) =>
      hasKernels()
        ? rawOp('AlignsaeMeanMagnitudeGradient', [], [dy, saved[0]!])
        : tf.mul(tf.sign(saved[0]!), tf.div(dy, saved[0]!.size));
    const value = hasKernels() ? rawOp('AlignsaeMeanMagnitude', [], [x]) : tf.mean(tf.abs(x));
    return { value, gradFunc };
  });
  return op(x) as tf.Scalar;
}

/** `x` less its mean by column; `x [rows, width]`. A symmetric projection, so its gradient is the same map. */
export function centre(x: tf.Tensor2D): tf.Tensor2D {
  const project = (y: tf.Tensor) => tf.sub(y, tf.mean(y, 0, true));
  const op = tf.customGrad((...args) => ({
    value: project(args[0] as tf.Tensor),
    gradFunc: (dy: tf.Tensor) => project(dy),
  }));
  return op(x) as tf.Tensor2D;
}
