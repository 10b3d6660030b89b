/** Beginning with an SAE that is there: its free latents as weights for activations normalised anew, beside fresh slots. */
import type { Arrays } from '../contract/arrays.ts';
import type { SaeConfig } from '../contract/sae.ts';
import { initSae, THRESHOLD } from './autoencoder.ts';
import type { StoredSae } from './file.ts';
import type { Normalization } from './normalization.ts';

/**
 * Initial weights of `config` whose free latents are those of `given`, which has no slots. With h = x S + M for the new
 * normalisation and h = y s + m for that of `given`, its latents over q = S / s are act(x W + b'), and
 * x̂ = z D + c': encoder and decoder keep their numbers, and a latent counts in units of the new scale.
 * b' = (b + (M − m) / s · W) / q, its thresholds become t / q, c' = (c s + m − M) / S.
 */
export function beginWith(
  given: StoredSae,
  config: SaeConfig,
  normalization: Normalization,
  seed: number,
): Arrays {
  const { nFree, nConcepts, dModel } = config;
  const weights = initSae(config, seed);
  const { mean: m, scale: s } = given.normalization;
  const { mean: M, scale: S } = normalization;
  const W = given.weights['encoder.weight']!.data; // [dModel, nFree]
  const encoder = weights['encoder.weight']!.data; // [dModel, nFree + nConcepts]
  const shift = new Float64Array(nFree);
  for (let i = 0; i < dModel; i++) {
    const row = W.subarray(i * nFree, (i + 1) * nFree);
    encoder.set(row, i * (nFree + nConcepts));
    const along = (M[i]! - m[i]!) / s;
    for (let j = 0; j < nFree; j++) shift[j]! += along * row[j]!;
  }
  const q = S / s;
  const bias = given.weights['encoder.bias']!.data;
  for (let j = 0; j < nFree; j++) weights['encoder.bias']!.data[j] = (bias[j]! + shift[j]!) / q;
  weights['decoder.weight']!.data.set(given.weights['decoder.weight']!.data); // free rows come first
  const c = given.weights['decoder.bias']!.data;
  for (let i = 0; i < dModel; i++) weights['decoder.bias']!.data[i] = (c[i]! * s + m[i]! - M[i]!) / S;
  const threshold = given.weights[THRESHOLD];
  if (threshold) weights[THRESHOLD]!.data.set(threshold.data.map((value) => value / q));
  return weights;
}
