/** What a weight's gradient is made of, as far as an update can make use of it. */

import { LINEAR_WEIGHT } from '../linear.ts';
import { hasKernels } from '../native/rawOps.ts';
import type { Operand, Trace } from './trace.ts';

/** A tensor, or the product `xᵀ · dy`, which the update of a weight computes by itself, tile by tile. */
export type Gradient<T> = { whole: T } | { x: T; dy: T };

/** A product is left to the update where that is all it is for. */
export function gradientOf({ ops, results }: Trace, operand: Operand): Gradient<Operand> {
  if (operand.from !== 'op' || !hasKernels()) return { whole: operand };
  const { name, operands } = ops[operand.op]!;
  const isIt = (other: Operand) => other.from === 'op' && other.op === operand.op;
  const uses = [...Object.values(results), ...ops.flatMap((op) => op.operands)].filter(isIt).length;
  return name === LINEAR_WEIGHT && uses === 1 ? { x: operands[0]!, dy: operands[1]! } : { whole: operand };
}

export function operandsOf<T>(gradient: Gradient<T>): T[] {
  return 'whole' in gradient ? [gradient.whole] : [gradient.x, gradient.dy];
}

export function mapOperands<A, B>(gradient: Gradient<A>, map: (operand: A) => B): Gradient<B> {
  return 'whole' in gradient ? { whole: map(gradient.whole) } : { x: map(gradient.x), dy: map(gradient.dy) };
}

/** @throws Error when the gradient is a product, which only the addon's kernels take. */
export function whole<T>(gradient: Gradient<T>): T {
  if ('whole' in gradient) return gradient.whole;
  throw new Error('a gradient was left to an update that needs it whole');
}
