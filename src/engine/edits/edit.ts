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

/** Makes a latent `times` what it is and `plus` more, and writes what the SAE decodes then. */
export interface ChangeLatent {
  latent: number;
  times: number;
  plus: number;
  keepsError: boolean;
}

/** Makes an activation's component along `axis [dModel]`, of length 1, `times` what it is and `plus` more. */
export interface ChangeComponent {
  axis: Float32Array;
  times: number;
  plus: number;
}

export type AnyEdit = Edit | ChangeLatent | ChangeComponent;

/**
 * Raw activations `h [n, dModel]` with one edit a row; `z` may bring their latents, `[n, nLatents]`, where they are read
 * already.
 */
export function applyEdits(
  sae: Sae,
  h: Float32Array,
  edits: readonly AnyEdit[],
  z?: Float32Array,
): Float32Array {
  const { dModel } = sae.config;
  const resid = h.slice();
  const latents: number[] = [];
  edits.forEach((edit, i) => {
    const row = resid.subarray(i * dModel, (i + 1) * dModel);
    if ('direction' in edit) addDirection(row, edit);
    else if ('axis' in edit) changeComponent(row, edit);
    else latents.push(i);
  });
  if (latents.length === 0) return resid;
  const chosen = latents.map((row) => edits[row] as SetLatents | ChangeLatent);
  const read = z ? takeRows(z, latents, sae.nLatents) : sae.latents(takeRows(h, latents, dModel));
  const decoded = sae.decode(setLatents(sae, read, chosen));
  const plain = chosen.some(({ keepsError }) => keepsError) ? sae.decode(read) : decoded;
  latents.forEach((row, i) => {
    const { keepsError } = chosen[i]!;
    for (let j = 0; j < dModel; j++) {
      const value = decoded[i * dModel + j]!;
      const at = row * dModel + j;
      resid[at] = keepsError ? h[at]! + value - plain[i * dModel + j]! : value;
    }
  });
  return resid;
}

/** Latents `z [n, nLatents]` as the edits, one a row, leave them. */
export function setLatents(
  { nLatents }: Sae,
  z: Float32Array,
  edits: readonly (SetLatents | ChangeLatent)[],
): Float32Array {
  const edited = z.slice();
  edits.forEach((edit, row) => {
    if ('set' in edit) for (const { latent, value } of edit.set) edited[row * nLatents + latent] = value;
    else {
      const at = row * nLatents + edit.latent;
      edited[at] = edit.times * edited[at]! + edit.plus;
    }
  });
  return edited;
}

/** Writes into the activation `row [dModel]`. */
export function addDirection(row: Float32Array, { direction, size, unit }: AddDirection): void {
  const times = unit === 'ONE' ? size : size * norm(row);
  for (let j = 0; j < row.length; j++) row[j]! += times * direction[j]!;
}

function changeComponent(row: Float32Array, { axis, times, plus }: ChangeComponent): void {
  const change = (times - 1) * dot(row, axis) + plus;
  for (let j = 0; j < row.length; j++) row[j]! += change * axis[j]!;
}

export function dot(a: Float32Array, b: Float32Array): number {
  return a.reduce((sum, value, j) => sum + value * b[j]!, 0);
}

export function norm(v: Float32Array): number {
  return Math.sqrt(dot(v, v));
}
