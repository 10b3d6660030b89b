/** Between raw activations and an SAE's inputs. */

/** How raw activations become the SAE's inputs: `x = (h − mean) / scale`. */
export interface Normalization {
  /** `[dModel]`. */
  mean: Float32Array;
  scale: number;
}

/**
 * The normalisation of activations `[n, dModel]`: their mean, and the root of their mean variance as one scale, so
 * that directions keep their proportions.
 */
export function fitNormalization(h: Float32Array, dModel: number): Normalization {
  const rows = h.length / dModel;
  const sums = new Float64Array(dModel);
  h.forEach((value, i) => {
    sums[i % dModel]! += value;
  });
  const mean = Float32Array.from(sums, (sum) => sum / rows);
  let squares = 0;
  h.forEach((value, i) => {
    squares += (value - mean[i % dModel]!) ** 2;
  });
  return { mean, scale: Math.sqrt(squares / h.length) || 1 };
}

/** `(h − mean) / scale` row by row; `h [n, dModel]`. */
export function normalize(h: Float32Array, { mean, scale }: Normalization): Float32Array {
  return h.map((value, i) => (value - mean[i % mean.length]!) / scale);
}

/** The inverse of `normalize`. */
export function denormalize(x: Float32Array, { mean, scale }: Normalization): Float32Array {
  return x.map((value, i) => value * scale + mean[i % mean.length]!);
}
