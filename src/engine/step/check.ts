/** What is checked before it reaches a backend, which would read past the end of a short array without a word. */

import type { Arrays, ArrayValue } from '../contract/arrays.ts';
import { describe, dtypeOf, type Layout, layoutOf } from './arrays.ts';
import type { StepperOptions, StepperState } from './stepper.ts';

/** @throws Error when `value` does not hold exactly as many numbers as its shape needs. */
export function checkArray(what: string, value: ArrayValue): void {
  const { data, shape } = value;
  if (!(data instanceof Float32Array || data instanceof Int32Array))
    throw new Error(`${what} must be a Float32Array or an Int32Array`);
  if (!shape.every((size) => Number.isInteger(size) && size >= 0))
    throw new Error(`${what} has the shape [${shape.join(', ')}]; sizes must be non-negative integers`);
  const size = shape.reduce((product, dimension) => product * dimension, 1);
  if (data.length !== size)
    throw new Error(`${what} has ${data.length} numbers; the shape [${shape.join(', ')}] needs ${size}`);
}

/** Holds each loss and evaluation to the names, types and ranks of the first batch it was given. */
export class BatchCheck {
  readonly #first = new Map<string, Layout>();

  /**
   * @param what Begins the message, such as `loss "lm"`.
   * @returns The batch's layout; its sizes may differ from the first one's.
   * @throws Error naming the tensor, what was expected and what came.
   */
  accept(what: string, batch: Arrays): Layout {
    for (const [name, value] of Object.entries(batch)) checkArray(`${what}: batch tensor "${name}"`, value);
    const layout = layoutOf(batch);
    const first = this.#first.get(what);
    if (!first) this.#first.set(what, layout);
    else checkRanks(what, first, layout);
    return layout;
  }
}

function checkRanks(what: string, first: Layout, layout: Layout): void {
  checkNames(`${what}: batch tensor`, Object.keys(first), Object.keys(layout));
  for (const [name, expected] of Object.entries(first)) {
    const got = layout[name]!;
    if (expected.dtype !== got.dtype || expected.shape.length !== got.shape.length)
      throw new Error(
        `${what}: batch tensor "${name}" must have the type and rank of ${describe(expected)}, got ${describe(got)}`,
      );
  }
}

/** @throws Error when the state is not one of a stepper with these weights. */
export function checkState(weights: Layout, state: StepperState): void {
  for (const part of ['weights', 'm', 'v'] as const) {
    checkNames(`state: ${part}`, Object.keys(weights), Object.keys(state[part]));
    for (const [name, value] of Object.entries(state[part])) checkArray(`state: ${part} "${name}"`, value);
    for (const [name, got] of Object.entries(layoutOf(state[part])))
      if (describe(weights[name]!) !== describe(got))
        throw new Error(`state: ${part} "${name}" must be ${describe(weights[name]!)}, got ${describe(got)}`);
  }
  if (!Number.isInteger(state.updates) || state.updates < 0)
    throw new Error(`state: updates must be a count, got ${state.updates}`);
}

/** @throws Error when a weight is malformed or `trainable` names what does not exist. */
export function checkOptions({ weights, losses, trainable = {} }: StepperOptions): void {
  for (const [name, value] of Object.entries(weights)) {
    checkArray(`weight "${name}"`, value);
    if (dtypeOf(value) !== 'float32') throw new Error(`weight "${name}" must be float32, got int32`);
  }
  for (const [loss, names] of Object.entries(trainable)) {
    entry('loss', losses, loss);
    for (const name of names) entry('weight', weights, name);
  }
}

/** @throws Error listing the names there are when `name` is not one of them. */
export function entry<T>(what: string, record: Readonly<Record<string, T>>, name: string): T {
  if (Object.hasOwn(record, name)) return record[name]!;
  throw new Error(`${what} "${name}" does not exist; there are ${Object.keys(record).join(', ') || 'none'}`);
}

function checkNames(what: string, expected: readonly string[], got: readonly string[]): void {
  const missing = expected.find((name) => !got.includes(name));
  const unknown = got.find((name) => !expected.includes(name));
  if (missing !== undefined) throw new Error(`${what} "${missing}" is missing; got ${got.join(', ')}`);
  if (unknown !== undefined)
    throw new Error(`${what} "${unknown}" is unknown; expected ${expected.join(', ')}`);
}
