/** Edits that stand ready at every position and fire only where their source latent is on. */
import * as tf from '@tensorflow/tfjs-core';
import { SLOT_ON } from '../contract/edits.ts';
import type { ResidHook } from '../model/decoder.ts';
import { takeRows } from '../rows.ts';
import type { Sae } from '../sae/sae.ts';
import { applyEdits, type Edit } from './edit.ts';
import type { EditMethod, Editor } from './editors.ts';
import type { StandIn } from './methods.ts';

export { SLOT_ON };

/** Above this the latent of a swap's source is on. */
export function thresholdOf({ scale }: StandIn): number {
  return scale * SLOT_ON;
}

export interface ArmedEdit {
  edit: Edit;
  /** The edit fires where the latent is above the threshold. */
  when: { latent: number; threshold: number };
}

/** A pair's swap, armed on its source. */
export function armedEdit(editor: Editor, method: EditMethod, pair: number, alpha: number): ArmedEdit {
  const { off } = editor.swaps[pair]!;
  const when = { latent: off.latent, threshold: thresholdOf(off) };
  return { edit: editor.edit(method, pair, alpha), when };
}

/** The hook of a batch of sequences, one edit a sequence; layer −1 is the stream before the first block. */
export function armedHook(sae: Sae, layer: number, edits: readonly ArmedEdit[]): ResidHook {
  return editingHook(
    sae,
    layer,
    edits.map(({ edit }) => edit),
    (h, T) => firingRows(sae, h, edits, T),
  );
}

/** The same, editing at every token that passes through. */
export function everyTokenHook(sae: Sae, layer: number, edits: readonly Edit[]): ResidHook {
  return editingHook(sae, layer, edits, (_, T) => Array.from({ length: edits.length * T }, (_, row) => row));
}

/** Makes each sequence's edit at those rows of `h [B · T, dModel]` that `rowsOf` names. */
function editingHook(
  sae: Sae,
  layer: number,
  edits: readonly Edit[],
  rowsOf: (h: Float32Array, T: number) => number[],
): ResidHook {
  return {
    layer,
    apply(resid) {
      const [B, T, C] = resid.shape;
      const h = resid.dataSync<'float32'>().slice();
      const rows = rowsOf(h, T);
      if (rows.length === 0) return resid;
      const fitting = rows.map((row) => edits[Math.floor(row / T)]!);
      const edited = applyEdits(sae, takeRows(h, rows, C), fitting);
      rows.forEach((row, i) => {
        h.set(edited.subarray(i * C, (i + 1) * C), row * C);
      });
      return tf.tensor3d(h, [B, T, C]);
    },
  };
}

/** Rows of `h [B · T, dModel]` on which their sequence's edit fires; never a sink. */
function firingRows(sae: Sae, h: Float32Array, edits: readonly ArmedEdit[], T: number): number[] {
  const latents = [...new Set(edits.map(({ when }) => when.latent))];
  const columnOf = new Map(latents.map((latent, column) => [latent, column]));
  const activations = sae.latents(h, latents);
  const { dModel } = sae.config;
  const rows: number[] = [];
  for (let row = 0; row < edits.length * T; row++) {
    const { latent, threshold } = edits[Math.floor(row / T)]!.when;
    const isOn = activations[row * latents.length + columnOf.get(latent)!]! > threshold;
    if (isOn && !sae.isSink(h.subarray(row * dModel, (row + 1) * dModel))) rows.push(row);
  }
  return rows;
}
