/**
 * Latents of which few fire, as lists: of each row the values of its entries and the columns at which they stand, by the
 * addon's kernels. With top-k nothing as large as all latents of a batch is made, forward or backward.
 */
import * as tf from '@tensorflow/tfjs-core';
import { attribute, rawOp, rawOps } from '../native/rawOps.ts';

/** `values [B, W]` and, int32, the columns `at [B, W]`; −1 stands for no entry, whose value is 0. */
export interface Entries {
  values: tf.Tensor2D;
  at: tf.Tensor2D;
}

/**
 * Of `x · weight + bias`, `x [B, K]`, `weight [K, N]`, the k largest of each row's first `free` columns that are above 0,
 * of equal ones the leftmost, and all of the other columns: `W = k + N − free`. No gradient reaches x.
 */
export function encodeEntries(
  x: tf.Tensor2D,
  weight: tf.Tensor2D,
  bias: tf.Tensor1D,
  { k, free }: { k: number; free: number },
): Entries {
  const attributes = [attribute.int('k', k), attribute.int('free', free)];
  const [found, at] = rawOps('AlignsaeEncodeEntries', attributes, [x, weight, bias], 2) as [
    tf.Tensor2D,
    tf.Tensor2D,
  ];
  const size = [attribute.int('size', bias.size)];
  const op = tf.customGrad((...args) => {
    const save = args.at(-1) as unknown as tf.GradSaveFunc;
    save([x, at]);
    const gradFunc = (dy: tf.Tensor, saved: tf.Tensor[]) => [
      rawOp('AlignsaeEntriesColumns', size, [dy, saved[1]!, saved[0]!]),
      rawOp('AlignsaeSumEntries', size, [dy, saved[1]!]),
    ];
    return { value: tf.clone(found), gradFunc };
  });
  return { values: op(weight, bias) as tf.Tensor2D, at };
}

/** What the entries stand for, `[B, N]`, times `weight [N, d]`, plus `bias [d]`. */
export function decodeEntries({ values, at }: Entries, weight: tf.Tensor2D, bias: tf.Tensor1D): tf.Tensor2D {
  const size = [attribute.int('size', weight.shape[0])];
  const op = tf.customGrad((...args) => {
    const [values, weight, bias, save] = args as unknown as [...tf.Tensor[], tf.GradSaveFunc] as [
      tf.Tensor,
      tf.Tensor,
      tf.Tensor,
      tf.GradSaveFunc,
    ];
    save([values, weight, at]);
    const gradFunc = (dy: tf.Tensor, [values, weight, at]: tf.Tensor[]) => [
      rawOp('AlignsaeDotEntries', [], [dy, weight!, at!]),
      rawOp('AlignsaeEntriesRows', size, [values!, at!, dy]),
      tf.sum(dy, 0),
    ];
    return { value: rawOp('AlignsaeDecodeEntries', [], [values, at, weight, bias]), gradFunc };
  });
  return op(values, weight, bias) as tf.Tensor2D;
}

/** What the entries stand for as a matrix of `size` columns. */
export function spreadEntries({ values, at }: Entries, size: number): tf.Tensor2D {
  const op = tf.customGrad((...args) => {
    const [values, save] = args as unknown as [tf.Tensor, tf.GradSaveFunc];
    save([at]);
    const gradFunc = (dy: tf.Tensor, saved: tf.Tensor[]) =>
      rawOp('AlignsaeCollectEntries', [], [dy, saved[0]!]);
    const value = rawOp('AlignsaeSpreadEntries', [attribute.int('size', size)], [values, at]);
    return { value, gradFunc };
  });
  return op(values) as tf.Tensor2D;
}
