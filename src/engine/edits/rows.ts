/** Edits of the same rows again and again, at little cost: what no edit changes is read once. Equal to `applyEdits`. */
import type { Sae } from '../sae/sae.ts';
import { addDirection, type Edit, type SetLatents } from './edit.ts';

/** Rows whose latents are computed together. */
const AT_ONCE = 512;

/** Raw activations `[n, dModel]` with one edit a row. */
export type RowEdits = (edits: readonly Edit[]) => Float32Array;

/** For rows `h [n, dModel]` and edits that set no other latents than these. */
export function createRowEdits(sae: Sae, h: Float32Array, latents: readonly number[]): RowEdits {
  const { dModel } = sae.config;
  let read: RowLatents | null = null;
  return (edits) => {
    const resid = h.slice();
    edits.forEach((edit, i) => {
      const row = resid.subarray(i * dModel, (i + 1) * dModel);
      if ('set' in edit) {
        read ??= readRows(sae, h, latents);
        setRow(row, i, edit, read);
      } else addDirection(row, edit);
    });
    return resid;
  };
}

interface RowLatents {
  /** Plain reconstruction of each row, `[n, dModel]`. */
  decoded: Float32Array;
  /** What each latent in use reads in every row, `[n]`, and what it adds to a raw activation where it is 1. */
  latents: ReadonlyMap<number, { values: Float32Array; column: Float32Array }>;
  scale: number;
}

function readRows(sae: Sae, h: Float32Array, chosen: readonly number[]): RowLatents {
  const { dModel } = sae.config;
  const n = h.length / dModel;
  const decoded = new Float32Array(h.length);
  const used = [...new Set(chosen)];
  const columns = sae.columns(used);
  const read = used.map((latent, i) => ({
    latent,
    values: new Float32Array(n),
    column: columns.subarray(i * dModel, (i + 1) * dModel),
  }));
  for (let start = 0; start < n; start += AT_ONCE) {
    const z = sae.latents(h.subarray(start * dModel, (start + AT_ONCE) * dModel));
    decoded.set(sae.decode(z), start * dModel);
    for (const { latent, values } of read)
      for (let i = start; i < Math.min(n, start + AT_ONCE); i++)
        values[i] = z[(i - start) * sae.nLatents + latent]!;
  }
  const latents = new Map(read.map(({ latent, ...rest }) => [latent, rest]));
  return { decoded, latents, scale: sae.normalization.scale };
}

/** The decoder is linear: latents that are set add their change times their columns. */
function setRow(row: Float32Array, i: number, { set, keepsError }: SetLatents, read: RowLatents): void {
  if (!keepsError) row.set(read.decoded.subarray(i * row.length, (i + 1) * row.length));
  const changes = [...new Map(set.map(({ latent, value }) => [latent, value]))].map(([latent, value]) => {
    const { values, column } = read.latents.get(latent)!;
    return { by: (value - values[i]!) * read.scale, column };
  });
  for (let j = 0; j < row.length; j++) {
    let change = 0;
    for (const { by, column } of changes) change += by * column[j]!;
    row[j]! += change;
  }
}
