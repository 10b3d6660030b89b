/** What is written into the residual stream at one position, whoever asks for it. */
import { takeRows } from '../rows.ts';
import type { Sae } from '../sae/sae.ts';

/** Gives latents new values, a later one of the same latent standing, and writes what the SAE decodes then. */
export interface SetLatents {
  set: readonly { latent: number; value: number }[];
  /** Whether what the SAE does not reconstruct of the activation stays in it. */
  keepsError: boolean;
}

/** Adds a direction `[dModel]`: `size` times it, or as often as `size` times the activation's length. */
export interface AddDirection {
  direction: Float32Array;
  size: number;
  unit: 'ONE' | 'LENGTH';
}

export type Edit = SetLatents | AddDirection;

/**
 * Raw activations `h [n, dModel]` with one edit a row; `z` may bring their latents, `[n, nLatents]`, where they are read
 * already.
 */
export function applyEdits(
  sae: Sae,
  h: Float32Array,
  edits: readonly Edit[],
  z?: Float32Array,
): Float32Array {
  const { dModel } = sae.config;
  const resid = h.slice();
  const setting: number[] = [];
  edits.forEach((edit, i) => {
    if ('set' in edit) setting.push(i);
    else addDirection(resid.subarray(i * dModel, (i + 1) * dModel), edit);
  });
  if (setting.length === 0) return resid;
  const sets = setting.map((row) => edits[row] as SetLatents);
  const read = z ? takeRows(z, setting, sae.nLatents) : sae.latents(takeRows(h, setting, dModel));
  const decoded = sae.decode(setLatents(sae, read, sets));
  const plain = sets.some(({ keepsError }) => keepsError) ? sae.decode(read) : decoded;
  setting.forEach((row, i) => {
    const { keepsError } = sets[i]!;
    for (let j = 0; j < dModel; j++) {
      const value = decoded[i * dModel + j]!;
      const at = row * dModel + j;
      resid[at] = keepsError ? h[at]! + value - plain[i * dModel + j]! : value;
    }
  });
  return resid;
}

/** Latents `z [n, nLatents]` as the edits, one a row, leave them. */
export function setLatents({ nLatents }: Sae, z: Float32Array, edits: readonly SetLatents[]): Float32Array {
  const edited = z.slice();
  edits.forEach(({ set }, row) => {
    for (const { latent, value } of set) edited[row * nLatents + latent] = value;
  });
  return edited;
}

/** Writes into the activation `row [dModel]`. */
export function addDirection(row: Float32Array, { direction, size, unit }: AddDirection): void {
  const times = unit === 'ONE' ? size : size * norm(row);
  for (let j = 0; j < row.length; j++) row[j]! += times * direction[j]!;
}

export function dot(a: Float32Array, b: Float32Array): number {
  return a.reduce((sum, value, j) => sum + value * b[j]!, 0);
}

export function norm(v: Float32Array): number {
  return Math.sqrt(dot(v, v));
}
