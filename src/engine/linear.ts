/** `x · weight + bias` with the addon's kernels, which know when most of `x` is zero; elsewhere with plain ops. */
import {
  add,
  customGrad,
  type GradSaveFunc,
  matMul,
  sum,
  type Tensor,
  type Tensor2D,
} from '@tensorflow/tfjs-core';
import { attribute, hasKernels, rawOp } from './native/rawOps.ts';

/** The op whose result, where it is a weight's gradient, the compiler replaces by an update that never builds it. */
export const LINEAR_WEIGHT = 'AlignsaeLinearWeight';

/**
 * `x [M, K]`, `weight [K, N]`, `bias [N]` → `[M, N]`.
 * @param active Columns of `x`, from the left, that came out of an activation which passes no gradient where it is 0:
 * there the gradient of `x` may be left out.
 */
export function linear(x: Tensor2D, weight: Tensor2D, bias: Tensor, active = 0): Tensor2D {
  if (!hasKernels()) return add(matMul(x, weight), bias);
  const op = customGrad((...args) => {
    const [x, weight, bias, save] = args as unknown as [Tensor, Tensor, Tensor, GradSaveFunc];
    save([x, weight]);
    const gradFunc = (dy: Tensor, saved: Tensor[]) => {
      const [x, weight] = saved as [Tensor, Tensor];
      return [
        rawOp('AlignsaeLinearInput', [attribute.int('active', active)], [dy, weight, x]),
        rawOp(LINEAR_WEIGHT, [], [x, dy]),
        sum(dy, 0),
      ];
    };
    return { value: rawOp('AlignsaeLinear', [], [x, weight, bias]), gradFunc };
  });
  return op(x, weight, bias) as Tensor2D;
}
