/** Tensor operations that tfjs has in a slower or less traceable form. */
import {
  cast,
  customGrad,
  exp,
  expandDims,
  type GradSaveFunc,
  gather,
  logSoftmax,
  mul,
  neg,
  oneHot,
  scalar,
  sub,
  sum,
  type Tensor,
  type Tensor1D,
  type Tensor2D,
  unsortedSegmentSum,
} from '@tensorflow/tfjs-core';
import { attribute, hasKernels, isNative, rawOp, rawOps } from './native/rawOps.ts';

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

/**
 * `−log softmax(logits)[label]` by row; `logits [n, classes]`, `labels [n]` int32 → `[n]`. Its gradient is
 * `softmax(logits) − one-hot(label)`.
 * @throws Error on the native backend when a label is no class.
 */
export function softmaxCrossEntropy(logits: Tensor2D, labels: Tensor1D): Tensor1D {
  const op = customGrad((...args) => {
    const [logits, save] = args as unknown as [Tensor2D, GradSaveFunc];
    if (hasKernels()) return ownCrossEntropy(logits, labels, save);
    const { losses, gradient } = isNative()
      ? nativeCrossEntropy(logits, labels)
      : plainCrossEntropy(logits, labels);
    save([gradient]);
    const gradFunc = (dy: Tensor, saved: Tensor[]) => mul(expandDims(dy, 1), saved[0]!);
    return { value: losses, gradFunc };
  });
  return op(logits) as Tensor1D;
}

/** With the addon's kernels, which keep two numbers a row and make the softmax again from the logits. */
function ownCrossEntropy(logits: Tensor2D, labels: Tensor1D, save: GradSaveFunc) {
  const [value, statistics] = rawOps('AlignsaeCrossEntropy', [], [logits, labels], 2) as [Tensor, Tensor];
  save([logits, labels, statistics]);
  const gradFunc = (dy: Tensor, saved: Tensor[]) => rawOp('AlignsaeCrossEntropyGradient', [], [dy, ...saved]);
  return { value, gradFunc };
}

/** With TensorFlow's op, which computes the loss together with its gradient. */
function nativeCrossEntropy(logits: Tensor2D, labels: Tensor1D): { losses: Tensor; gradient: Tensor } {
  const attributes = [attribute.type('T', 'float32'), attribute.type('Tlabels', 'int32')];
  const [losses, gradient] = rawOps(
    'SparseSoftmaxCrossEntropyWithLogits',
    attributes,
    [logits, labels],
    2,
  ) as [Tensor, Tensor];
  return { losses, gradient };
}

function plainCrossEntropy(logits: Tensor2D, labels: Tensor1D): { losses: Tensor; gradient: Tensor } {
  // Cast, because tfjs' wasm kernel fills a float one-hot with the bits of integers.
  const target = cast(oneHot(labels, logits.shape[1]), 'float32');
  const logProbabilities = logSoftmax(logits);
  return {
    losses: neg(sum(mul(logProbabilities, target), 1)),
    gradient: sub(exp(logProbabilities), target),
  };
}
