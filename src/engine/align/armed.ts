/** Edits that stand ready at every position and fire only where their source latent is on. */
import * as tf from '@tensorflow/tfjs-core';
import type { SwapMethod } from '../contract/swap.ts';
import type { ResidHook } from '../model/decoder.ts';
import { takeRows } from '../rows.ts';
import type { Sae } from '../sae/sae.ts';
import { editResid, type LatentEdit } from './swapMethods.ts';

/** A slot counts as on above this: half of what a bound slot is trained to reach. */
export const SLOT_ON = 0.5;

export interface ArmedEdit extends LatentEdit {
  /** The edit fires where latent `off` is above this. */
  threshold: number;
}

/** The hook of a batch of sequences, one edit a sequence; layer −1 is the stream before the first block. */
export function armedHook(
  sae: Sae,
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
function firingRows(sae: Sae, h: Float32Array, edits: readonly ArmedEdit[], T: number): number[] {
  const latents = [...new Set(edits.map(({ off }) => off))];
  const columnOf = new Map(latents.map((latent, column) => [latent, column]));
  const activations = sae.latents(h, latents);
  const rows: number[] = [];
  for (let row = 0; row < edits.length * T; row++) {
    const { off, threshold } = edits[Math.floor(row / T)]!;
    if (activations[row * latents.length + columnOf.get(off)!]! > threshold) rows.push(row);
  }
  return rows;
}
