/** Plain arrays at the edge of a step, and tensors made of them. */
import { type Tensor, tensor } from '@tensorflow/tfjs-core';
import type { Arrays, ArrayValue } from '../contract/arrays.ts';
import type { Tensors } from './stepper.ts';

type ElementType = 'float32' | 'int32';

/** Types and shapes of arrays, by name. */
export type Layout = Readonly<Record<string, { dtype: ElementType; shape: readonly number[] }>>;

export function layoutOf(arrays: Arrays): Layout {
  return mapValues(arrays, (value) => ({ dtype: dtypeOf(value), shape: [...value.shape] }));
}

/** What arrays of that layout take; both types have four bytes. */
export function bytesOf(layout: Layout): number {
  return Object.values(layout).reduce((sum, { shape }) => sum + 4 * shape.reduce((a, b) => a * b, 1), 0);
}

/** Type and shape as errors show them: `int32 [64, 16]`. */
export function describe({ dtype, shape }: { dtype: string; shape: readonly number[] }): string {
  return `${dtype} [${shape.join(', ')}]`;
}

/** The tensor type that an array becomes. */
export function dtypeOf(value: ArrayValue): ElementType {
  return value.data instanceof Float32Array ? 'float32' : 'int32';
}

/** Independent copies of all arrays. */
export function copyArrays(arrays: Arrays): Arrays {
  return mapValues(arrays, ({ data, shape }) => ({ data: data.slice(), shape: [...shape] }));
}

/** Arrays of zeros in these shapes. */
export function zeros(layout: Layout): Arrays {
  return mapValues(layout, ({ shape }) => ({
    data: new Float32Array(shape.reduce((product, size) => product * size, 1)),
    shape,
  }));
}

/** Makes tensors which the caller disposes. They may share the arrays' memory: do not write to it meanwhile. */
export function toTensors(arrays: Arrays): Tensors {
  return mapValues(arrays, (value) => tensor(value.data, [...value.shape], dtypeOf(value)));
}

/** Copies a tensor's values; booleans become integers. */
export function toArray(value: Tensor): ArrayValue {
  return plainArray(value.dataSync<'float32' | 'int32' | 'bool'>(), value.shape);
}

/** Copies raw values of a backend; booleans become integers. */
export function plainArray(
  data: Float32Array | Int32Array | Uint8Array,
  shape: readonly number[],
): ArrayValue {
  return { data: data instanceof Float32Array ? data.slice() : Int32Array.from(data), shape: [...shape] };
}

/** The same keys with other values. */
export function mapValues<K extends string, A, B>(
  record: Readonly<Record<K, A>>,
  map: (value: A, name: K) => B,
): Record<K, B> {
  return Object.fromEntries(
    Object.entries(record).map(([name, value]) => [name, map(value as A, name as K)]),
  ) as Record<K, B>;
}
