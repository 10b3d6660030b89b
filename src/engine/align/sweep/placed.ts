/**
 * Edits at the last prompt token of many trials, for any method and alpha at little cost: what does not depend on
 * alpha is computed once. Equal to `editResid`, row by row.
 */
import type { SwapMethod } from '../../contract/swap.ts';
import { createDirections, setsLatent } from '../swapMethods.ts';
import type { SweepEditor } from './editors.ts';

/** Raw activations with the pair that each is to be swapped by. */
export interface PlacedTrials {
  /** `[n, dModel]`. */
  h: Float32Array;
  /** Index of each trial's pair. */
  pairs: Int32Array;
}

/** Trials whose latents are computed together. */
const AT_ONCE = 512;

/** Returns the edited activations `[n, dModel]` for a method and an alpha. */
export function createPlacedEdits(
  editor: SweepEditor,
  trials: PlacedTrials,
): (method: SwapMethod, alpha: number) => Float32Array {
  const read = editor.methods.some(setsLatent) ? readTrials(editor, trials) : null;
  const directions = new Map<SwapMethod, Float32Array[]>();
  for (const method of editor.methods) {
    if (setsLatent(method)) continue;
    const directionOf = createDirections(editor.sae, method);
    directions.set(
      method,
      editor.latents.map(({ off, on }) => directionOf({ off, on, alpha: 1 })),
    );
  }
  return (method, alpha) =>
    setsLatent(method)
      ? setLatents(editor, trials, read!, method, alpha)
      : addDirections(trials, directions.get(method)!, method, alpha);
}

interface TrialLatents {
  /** Plain reconstruction of each activation, `[n, dModel]`. */
  decoded: Float32Array;
  /** What the two latents of each trial's pair read. */
  off: Float32Array;
  on: Float32Array;
  /** Decoder columns of the latents in use. */
  columns: ReadonlyMap<number, Float32Array>;
}

function readTrials({ sae, latents }: SweepEditor, { h, pairs }: PlacedTrials): TrialLatents {
  const { dModel } = sae.config;
  const n = pairs.length;
  const used = [...new Set(latents.flatMap(({ off, on }) => [off, on]))];
  const rows = sae.columns(used);
  const columns = new Map(used.map((latent, i) => [latent, rows.subarray(i * dModel, (i + 1) * dModel)]));
  const read = {
    ...{ decoded: new Float32Array(h.length), columns },
    ...{ off: new Float32Array(n), on: new Float32Array(n) },
  };
  for (let start = 0; start < n; start += AT_ONCE) {
    const rows = h.subarray(start * dModel, (start + AT_ONCE) * dModel);
    const z = sae.latents(rows);
    read.decoded.set(sae.decode(z), start * dModel);
    for (let i = start; i < Math.min(n, start + AT_ONCE); i++) {
      const { off, on } = latents[pairs[i]!]!;
      read.off[i] = z[(i - start) * sae.nLatents + off]!;
      read.on[i] = z[(i - start) * sae.nLatents + on]!;
    }
  }
  return read;
}

/** The decoder is linear: an edit of two latents adds their change times their columns. */
function setLatents(
  { sae, latents }: SweepEditor,
  { h, pairs }: PlacedTrials,
  read: TrialLatents,
  method: SwapMethod,
  alpha: number,
): Float32Array {
  const { dModel } = sae.config;
  const resid = method === 'LATENT_DECODE' ? read.decoded.slice() : h.slice();
  pairs.forEach((pair, i) => {
    const { off, on, scale } = latents[pair]!;
    const up = (alpha * scale - read.on[i]!) * sae.normalization.scale;
    const down = off === on ? 0 : -read.off[i]! * sae.normalization.scale;
    const raised = read.columns.get(on)!;
    const lowered = read.columns.get(off)!;
    for (let j = 0; j < dModel; j++) resid[i * dModel + j]! += up * raised[j]! + down * lowered[j]!;
  });
  return resid;
}

function addDirections(
  { h, pairs }: PlacedTrials,
  directions: readonly Float32Array[],
  method: SwapMethod,
  alpha: number,
): Float32Array {
  const dModel = h.length / pairs.length;
  const resid = h.slice();
  pairs.forEach((pair, i) => {
    const row = resid.subarray(i * dModel, (i + 1) * dModel);
    const size = alpha * (method === 'MEAN_DIFFERENCE' ? 1 : length(row));
    directions[pair]!.forEach((value, j) => {
      row[j]! += size * value;
    });
  });
  return resid;
}

function length(row: Float32Array): number {
  return Math.sqrt(row.reduce((sum, value) => sum + value * value, 0));
}
