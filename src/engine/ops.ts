/** Tensor operations that tfjs has in a slower or less traceable form. */
import {
  customGrad,
  type GradSaveFunc,
  gather,
  matMul,
  scalar,
  type Tensor,
  type Tensor1D,
  type Tensor2D,
  unsortedSegmentSum,
} from '@tensorflow/tfjs-core';
import { attribute, isNative, rawOp } from './native/rawOps.ts';

/**
 * Rows of a table; `table [rows, width]`, `ids [n]` int32 → `[n, width]`. Its gradient adds up `dy` by row without
 * the transposes of `tf.gather`'s, and on the native backend the ids are not read back to be checked first, so a
 * recorded step stays on the device.
 * @throws Error when an id is not a row (on a GPU, TensorFlow yields zeros instead).
 */
export function gatherRows(table: Tensor2D, ids: Tensor1D): Tensor2D {
  const op = customGrad((...args) => {
    const [table, save] = args as unknown as [Tensor2D, GradSaveFunc];
    save([ids]);
    const gradFunc = (dy: Tensor, saved: Tensor[]) =>
      unsortedSegmentSum(dy, saved[0] as Tensor1D, table.shape[0]);
    return { value: isNative() ? nativeGather(table, ids) : gather(table, ids), gradFunc };
  });
  return op(table) as Tensor2D;
}

function nativeGather(table: Tensor2D, ids: Tensor1D): Tensor {
  const axis = scalar(0, 'int32');
  const attributes = [
    attribute.int('batch_dims', 0),
    attribute.type('Tparams', 'float32'),
    attribute.type('Tindices', 'int32'),
    attribute.type('Taxis', 'int32'),
  ];
  const rows = rawOp('GatherV2', attributes, [table, ids, axis]);
  axis.dispose();
  return rows;
}

/** Product with the transpose of the second operand; `a [..., m, k]`, `b [..., n, k]` → `[..., m, n]`. */
export function matMulT<T extends Tensor>(a: T, b: T): T {
  return matMul(a, b, false, true);
}
