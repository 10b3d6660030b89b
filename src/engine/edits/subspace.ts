/** Subspaces of the residual stream, each by an orthonormal basis: `[dModel, k]` row by row. */
import * as tf from '@tensorflow/tfjs-core';
import type { Random } from '../../random.ts';

export interface Subspace {
  dModel: number;
  k: number;
  /** `[dModel, k]`; columns of length 1 at right angles. */
  basis: Float32Array;
}

export function randomSubspace(random: Random, dModel: number, k: number): Subspace {
  return orthonormal(
    Float64Array.from({ length: dModel * k }, () => random.normal()),
    dModel,
    k,
  );
}

/**
 * The span of the columns of `a [dModel, k]`, by Gram–Schmidt, twice for the sake of rounding. Columns must be linearly
 * independent and no more than `dModel`.
 */
export function orthonormal(a: ArrayLike<number>, dModel: number, k: number): Subspace {
  const columns: Float64Array[] = [];
  for (let c = 0; c < k; c++) {
    const column = Float64Array.from({ length: dModel }, (_, j) => a[j * k + c]!);
    for (let round = 0; round < 2; round++)
      for (const other of columns) {
        const along = dot(column, other);
        for (let j = 0; j < dModel; j++) column[j]! -= along * other[j]!;
      }
    const length = Math.sqrt(dot(column, column));
    columns.push(column.map((value) => value / length));
  }
  const basis = Float32Array.from({ length: dModel * k }, (_, i) => columns[i % k]![Math.floor(i / k)]!);
  return { dModel, k, basis };
}

/** `to` within the subspace and `from` outside of it; both `[n, dModel]`, `basis [dModel, k]`. */
export function interchange(from: tf.Tensor2D, to: tf.Tensor2D, basis: tf.Tensor2D): tf.Tensor2D {
  const within = tf.matMul(tf.sub(to, from), basis); // [n, k]
  return tf.add(from, tf.matMul(within, basis, false, true));
}

/** Of a gradient `[dModel, k]` at the basis the part that turns the subspace: what is left within it changes nothing. */
export function turning({ dModel, k, basis }: Subspace, gradient: Float32Array): Float32Array {
  const within = new Float64Array(k * k);
  for (let j = 0; j < dModel; j++)
    for (let a = 0; a < k; a++)
      for (let b = 0; b < k; b++) within[a * k + b]! += basis[j * k + a]! * gradient[j * k + b]!;
  return gradient.map((value, i) => {
    const [j, b] = [Math.floor(i / k), i % k];
    let along = 0;
    for (let a = 0; a < k; a++) along += basis[j * k + a]! * within[a * k + b]!;
    return value - along;
  });
}

function dot(a: Float64Array, b: Float64Array): number {
  let sum = 0;
  for (let j = 0; j < a.length; j++) sum += a[j]! * b[j]!;
  return sum;
}
