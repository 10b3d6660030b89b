/** Linear readouts of a concept from the first few of an ordered list of latents. */
import * as tf from '@tensorflow/tfjs-core';

/** Ridge on standardised latents; enough that near-copies of a latent share its weight. */
const RIDGE = 1e-3;

/** Weights for the first `m` latents, in the latents' own units. */
export type Readout = (m: number) => Float64Array;

/**
 * Ridge regression of «is about the concept» on standardised latents, which for two classes is the direction of linear
 * discriminant analysis (Hastie et al., The Elements of Statistical Learning, exercise 4.2). One Cholesky factor serves
 * every `m`, for that of the first m latents is its leading block.
 * @param columns Latents in their order, each `[n]`; one that does not vary gets no weight.
 * @param isAbout `[n]`, 1 for the concept's prompts.
 */
export function fitReadouts(columns: readonly Float32Array[], isAbout: Float32Array): Readout {
  const n = isAbout.length;
  const deviations = columns.map(deviation);
  const target = standardised(isAbout, deviation(isAbout));
  const standard = columns.map((column, j) => standardised(column, deviations[j]!));
  const { gram, moments } = correlations(standard, target, n);
  const factor = choleskyInPlace(gram, columns.length);
  const half = forwardSubstitute(factor, moments, columns.length);
  return (m) => {
    const weights = backSubstitute(factor, half, columns.length, m);
    return weights.map((weight, j) => (deviations[j]!.std === 0 ? 0 : weight / deviations[j]!.std));
  };
}

interface Deviation {
  mean: number;
  std: number;
}

function deviation(values: Float32Array): Deviation {
  let sum = 0;
  for (const value of values) sum += value;
  const mean = sum / values.length;
  let squares = 0;
  for (const value of values) squares += (value - mean) ** 2;
  return { mean, std: Math.sqrt(squares / values.length) };
}

function standardised(values: Float32Array, { mean, std }: Deviation): Float32Array {
  return values.map((value) => (std === 0 ? 0 : (value - mean) / std));
}

/** Correlations of the latents `[M, M]`, with the ridge on the diagonal, and with the target `[M]`. */
function correlations(standard: readonly Float32Array[], target: Float32Array, n: number) {
  const M = standard.length;
  const flat = new Float32Array((M + 1) * n);
  [...standard, target].forEach((column, j) => {
    flat.set(column, j * n);
  });
  const product = tf.tidy(() => {
    const all = tf.tensor2d(flat, [M + 1, n]);
    return tf.matMul(all, all, false, true);
  });
  const data = product.dataSync<'float32'>();
  const gram = new Float64Array(M * M);
  for (let i = 0; i < M; i++) {
    for (let j = 0; j < M; j++) gram[i * M + j] = data[i * (M + 1) + j]! / n;
    gram[i * M + i]! += RIDGE;
  }
  const moments = Float64Array.from({ length: M }, (_, j) => data[M * (M + 1) + j]! / n);
  product.dispose();
  return { gram, moments };
}

/** The lower factor L of a positive definite `[M, M]`, in its lower half. */
function choleskyInPlace(a: Float64Array, M: number): Float64Array {
  for (let i = 0; i < M; i++) {
    for (let j = 0; j <= i; j++) {
      let sum = a[i * M + j]!;
      for (let k = 0; k < j; k++) sum -= a[i * M + k]! * a[j * M + k]!;
      a[i * M + j] = i === j ? Math.sqrt(Math.max(sum, 1e-12)) : sum / a[j * M + j]!;
    }
  }
  return a;
}

/** Solves `L y = b`; the first m of y solve the leading block. */
function forwardSubstitute(L: Float64Array, b: Float64Array, M: number): Float64Array {
  const y = b.slice();
  for (let i = 0; i < M; i++) {
    for (let k = 0; k < i; k++) y[i]! -= L[i * M + k]! * y[k]!;
    y[i]! /= L[i * M + i]!;
  }
  return y;
}

/** Solves `Lᵀ w = y` for the leading `m × m` block. */
function backSubstitute(L: Float64Array, y: Float64Array, M: number, m: number): Float64Array {
  const w = y.slice(0, m);
  for (let i = m - 1; i >= 0; i--) {
    w[i]! /= L[i * M + i]!;
    for (let k = 0; k < i; k++) w[k]! -= L[i * M + k]! * w[i]!;
  }
  return w;
}
