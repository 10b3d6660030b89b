import { invalidInput } from '../../errors.ts';
import type { SwapMethod } from '../contract/swap.ts';
import type { Sae } from '../sae/sae.ts';

/** Turns latent `off` to 0 and latent `on` to `alpha`; indices count free latents first, then slots. */
export interface LatentEdit {
  off: number;
  on: number;
  alpha: number;
}

export interface EditedResid {
  /** Activations to put in place of the originals, `[n, dModel]`. */
  resid: Float32Array;
  /** Slots before and after, `[n, nConcepts]`; after is what was set, or else what the SAE reads in the new activation. */
  before: Float32Array;
  after: Float32Array;
}

/**
 * Applies one edit a row to raw activations `h [n, dModel]`.
 *
 * - `LATENT_DECODE`: decode the edited latents and replace h.
 * - `LATENT_DELTA`: add to h only what the edit changes in the reconstruction.
 * - `DECODER_COLUMN`: h + α·‖h‖·d_on/‖d_on‖.
 * - `DECODER_PAIR`: h + α·‖h‖·(d_on/‖d_on‖ − d_off/‖d_off‖).
 * - `ORTHOGONAL`: as `DECODER_COLUMN`, with d_on first made orthogonal to the other slots' columns.
 * - `MEAN_DIFFERENCE`: h + α·(mean of on's concept − mean of off's), without the SAE.
 *
 * @throws {AppError} INVALID_INPUT when `ORTHOGONAL` has no direction left.
 */
export function editResid(
  sae: Sae,
  h: Float32Array,
  edits: readonly LatentEdit[],
  method: SwapMethod,
): EditedResid {
  if (setsLatent(method)) return editLatents(sae, h, edits, method);
  const { dModel } = sae.config;
  const directionOf = createDirections(sae, method);
  const resid = h.slice();
  edits.forEach((edit, i) => {
    const row = resid.subarray(i * dModel, (i + 1) * dModel);
    const direction = directionOf(edit);
    const size = edit.alpha * (method === 'MEAN_DIFFERENCE' ? 1 : norm(row));
    for (let j = 0; j < dModel; j++) row[j]! += size * direction[j]!;
  });
  return { resid, before: sae.slots(h), after: sae.slots(resid) };
}

/** Whether alpha sets a latent, and so counts in the latent's own scale, or is the strength of an added direction. */
export function setsLatent(method: SwapMethod): method is 'LATENT_DECODE' | 'LATENT_DELTA' {
  return method === 'LATENT_DECODE' || method === 'LATENT_DELTA';
}

function editLatents(
  sae: Sae,
  h: Float32Array,
  edits: readonly LatentEdit[],
  method: 'LATENT_DECODE' | 'LATENT_DELTA',
): EditedResid {
  const { nFree } = sae.config;
  const width = sae.nLatents;
  const latents = sae.latents(h);
  const edited = latents.slice();
  edits.forEach(({ off, on, alpha }, i) => {
    edited[i * width + off] = 0;
    edited[i * width + on] = alpha;
  });
  const decoded = sae.decode(edited);
  if (method === 'LATENT_DELTA') {
    const plain = sae.decode(latents);
    decoded.forEach((value, j) => {
      decoded[j] = h[j]! + value - plain[j]!;
    });
  }
  const slotsOf = (all: Float32Array) => all.filter((_, j) => j % width >= nFree);
  return { resid: decoded, before: slotsOf(latents), after: slotsOf(edited) };
}

/** The direction that an edit adds, of length 1 except for `MEAN_DIFFERENCE` and `DECODER_PAIR`. */
export function createDirections(sae: Sae, method: SwapMethod): (edit: LatentEdit) => Float32Array {
  const { dModel, nFree, nConcepts } = sae.config;
  if (method === 'MEAN_DIFFERENCE') {
    const mean = (latent: number) =>
      sae.conceptMeans.subarray((latent - nFree) * dModel, (latent - nFree + 1) * dModel);
    return ({ off, on }) => mean(on).map((value, j) => value - mean(off)[j]!);
  }
  const columns = new Map<number, Float32Array>();
  const column = (latent: number) => {
    const known = columns.get(latent) ?? sae.columns([latent]);
    columns.set(latent, known);
    return known;
  };
  if (method === 'DECODER_COLUMN') return ({ on }) => unit(column(on));
  if (method === 'DECODER_PAIR') {
    return ({ off, on }) => {
      const away = unit(column(off));
      return unit(column(on)).map((value, j) => value - away[j]!);
    };
  }
  const slots = Array.from({ length: nConcepts }, (_, concept) => sae.slot(concept));
  return ({ on }) => {
    const others = slots.filter((slot) => slot !== on).map(column);
    return orthogonalTo(column(on), others);
  };
}

/** `vector` less its projection onto the span of `others`, at length 1; by Gram–Schmidt. */
function orthogonalTo(vector: Float32Array, others: readonly Float32Array[]): Float32Array {
  const basis: Float32Array[] = [];
  const reject = (v: Float32Array): Float32Array => {
    let rest = v;
    for (const axis of basis) {
      const along = dot(rest, axis);
      rest = rest.map((value, j) => value - along * axis[j]!);
    }
    return rest;
  };
  for (const other of others) {
    const rest = reject(other);
    if (norm(rest) > 1e-5 * norm(other)) basis.push(unit(rest));
  }
  const rest = reject(vector);
  if (norm(rest) > 1e-5 * norm(vector)) return unit(rest);
  throw invalidInput(
    ['method'],
    "the target's decoder column lies within the span of the other slots' columns",
  );
}

function dot(a: Float32Array, b: Float32Array): number {
  return a.reduce((sum, value, j) => sum + value * b[j]!, 0);
}

function norm(v: Float32Array): number {
  return Math.sqrt(dot(v, v));
}

function unit(v: Float32Array): Float32Array {
  const length = norm(v) || 1;
  return v.map((value) => value / length);
}
