/** Edits that stand ready at every position and fire only where their source latent is on. */
import * as tf from '@tensorflow/tfjs-core';
import type { SwapMethod } from '../contract/swap.ts';
import type { ResidHook } from '../model/decoder.ts';
import { takeRows } from '../rows.ts';
import { type LoadedSae, normalize } from '../sae/file.ts';
import { encode } from '../sae/sae.ts';
import { editResid, type LatentEdit } from './swapMethods.ts';

/** A slot counts as on above this: half of what a bound slot is trained to reach. */
export const SLOT_ON = 0.5;

export interface ArmedEdit extends LatentEdit {
  /** The edit fires where latent `off` is above this. */
  threshold: number;
}

/** Activation vectors that are encoded together, so that wide SAEs fit: floats of latents. */
const LATENTS_AT_ONCE = 2 ** 25;

/** The hook of a batch of sequences, one edit a sequence; layer −1 is the stream before the first block. */
export function armedHook(
  sae: LoadedSae,
  layer: number,
  edits: readonly ArmedEdit[],
  method: SwapMethod,
): ResidHook {
  return {
    layer,
    apply(resid) {
      const [B, T, C] = resid.shape;
      const h = resid.dataSync<'float32'>().slice();
      const fired = firingRows(sae, h, edits, T);
      if (fired.length === 0) return resid;
      const fitting = fired.map((row) => edits[Math.floor(row / T)]!);
      const edited = editResid(sae, takeRows(h, fired, C), fitting, method).resid;
      fired.forEach((row, i) => {
        h.set(edited.subarray(i * C, (i + 1) * C), row * C);
      });
      return tf.tensor3d(h, [B, T, C]);
    },
  };
}

/** Rows of `h [B · T, dModel]` on which their sequence's edit fires. */
function firingRows(sae: LoadedSae, h: Float32Array, edits: readonly ArmedEdit[], T: number): number[] {
  const latents = [...new Set(edits.map(({ off }) => off))];
  const columnOf = new Map(latents.map((latent, column) => [latent, column]));
  const activations = readLatentColumns(sae, h, latents);
  const rows: number[] = [];
  for (let row = 0; row < edits.length * T; row++) {
    const { off, threshold } = edits[Math.floor(row / T)]!;
    if (activations[row * latents.length + columnOf.get(off)!]! > threshold) rows.push(row);
  }
  return rows;
}

/** Activations of a few latents on raw activations `h [n, dModel]` → `[n, latents]`. */
export function readLatentColumns(sae: LoadedSae, h: Float32Array, latents: readonly number[]): Float32Array {
  const { dModel, nFree, nConcepts } = sae.config;
  const rows = Math.max(1, Math.floor(LATENTS_AT_ONCE / (nFree + nConcepts)));
  const columns = new Float32Array((h.length / dModel) * latents.length);
  for (let start = 0; start * dModel < h.length; start += rows) {
    const x = normalize(h.subarray(start * dModel, (start + rows) * dModel), sae.normalization);
    const part = tf.tidy(() => {
      const { free, slots } = encode(sae.config, sae.weights, tf.tensor2d(x, [x.length / dModel, dModel]));
      return tf.gather(tf.concat2d([free, slots], 1), tf.tensor1d(latents as number[], 'int32'), 1);
    });
    columns.set(part.dataSync<'float32'>(), start * latents.length);
    part.dispose();
  }
  return columns;
}
