/** What a weight's gradient is made of, as far as an update can make use of it. */

import { hasKernels } from '../native/rawOps.ts';
import type { Operand, Trace } from './trace.ts';

/** A tensor, or what an op makes one of, which an update of a weight takes instead and never builds the tensor. */
export type Gradient<T> = { whole: T } | { update: string; operands: readonly T[] };

/** By the op that makes a gradient, the one that updates a weight by what that op takes. */
const UPDATES: Readonly<Record<string, string>> = {
  AlignsaeLinearWeight: 'AlignsaeUpdateLinear',
  AlignsaeEntriesRows: 'AlignsaeUpdateEntriesRows',
  AlignsaeEntriesColumns: 'AlignsaeUpdateEntriesColumns',
};

/** What an op makes is left to the update where that is all it is for. */
export function gradientOf({ ops, results }: Trace, operand: Operand): Gradient<Operand> {
  if (operand.from !== 'op' || !hasKernels()) return { whole: operand };
  const { name, operands } = ops[operand.op]!;
  const update = UPDATES[name];
  const isIt = (other: Operand) => other.from === 'op' && other.op === operand.op;
  const uses = [...Object.values(results), ...ops.flatMap((op) => op.operands)].filter(isIt).length;
  return update && uses === 1 ? { update, operands } : { whole: operand };
}

export function operandsOf<T>(gradient: Gradient<T>): readonly T[] {
  return 'whole' in gradient ? [gradient.whole] : gradient.operands;
}

export function mapOperands<A, B>(gradient: Gradient<A>, map: (operand: A) => B): Gradient<B> {
  if ('whole' in gradient) return { whole: map(gradient.whole) };
  return { update: gradient.update, operands: gradient.operands.map(map) };
}

/** @throws Error when the gradient is left to an update, which only the addon's kernels do. */
export function whole<T>(gradient: Gradient<T>): T {
  if ('whole' in gradient) return gradient.whole;
  throw new Error('a gradient was left to an update that needs it whole');
}
