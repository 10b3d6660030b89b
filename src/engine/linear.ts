/** `x · weight + bias` with the addon's kernels, which know when most of `x` is zero, if there is a bias; elsewhere with plain ops. */
import {
  add,
  customGrad,
  expandDims,
  type GradSaveFunc,
  matMul,
  sum,
  type Tensor,
  type Tensor2D,
  type Tensor3D,
} from '@tensorflow/tfjs-core';
import { attribute, hasKernels, rawOp } from './native/rawOps.ts';

/**
 * `x [M, K]`, `weight [K, N]`, `bias [N]` or none → `[M, N]`; or stacks of them, each its own, `bias [count, N]`.
 * @param active Columns of `x`, from the left, that came out of an activation which passes no gradient where it is 0:
 * there the gradient of `x` may be left out.
 */
export function linear<T extends Tensor2D | Tensor3D>(x: T, weight: T, bias: Tensor | null, active = 0): T {
  const rows = x.rank - 2;
  if (!hasKernels()) return (bias ? add(matMul(x, weight), expandDims(bias, rows)) : matMul(x, weight)) as T;
  const op = customGrad((...args) => {
    const save = args.pop() as unknown as GradSaveFunc;
    const [x, weight, bias] = args as [Tensor, Tensor, Tensor?];
    save([x, weight]);
    const gradFunc = (dy: Tensor, saved: Tensor[]) => {
      const [x, weight] = saved as [Tensor, Tensor];
      const ofProduct = [
        rawOp('AlignsaeLinearInput', [attribute.int('active', active)], [dy, weight, x]),
        rawOp('AlignsaeLinearWeight', [], [x, dy]),
      ];
      return args.length === 3 ? [...ofProduct, sum(dy, rows)] : ofProduct;
    };
    const value = bias
      ? rawOp('AlignsaeLinear', [], [x, weight, bias])
      : rawOp('AlignsaeProduct', [], [x, weight]);
    return { value, gradFunc };
  });
  return op(...(bias ? [x, weight, bias] : [x, weight])) as T;
}
