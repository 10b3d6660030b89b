/** Finds the latents that tell a concept best. */
import { setImmediate as turnOfTheLoop } from 'node:timers/promises';
import { createAuroc, labelConcepts, separabilityOrNull } from '../align/separability.ts';
import { largest } from '../align/slotReports.ts';
import type { LatentMatch } from '../contract/latents.ts';
import { takeRows } from '../rows.ts';
import type { Sae } from '../sae/sae.ts';
import type { CapturedPrompts } from './capture.ts';

/** Activations that are ranked together: bounds memory where the SAE is wide. */
const MAX_ACTIVATIONS = 2 ** 24;

/** Chosen by `separability`, descending, the first of equals first; latents for which it is not defined are left out. */
export async function searchLatents(
  sae: Sae,
  captured: CapturedPrompts,
  concept: number,
  count: number,
): Promise<LatentMatch[]> {
  const { nLatents } = sae;
  const learned = rowsWhere(captured, sae, ({ learned }) => learned);
  const heldOut = rowsWhere(captured, sae, ({ split }) => split === 'TEST_OOD');
  const all = Array.from({ length: nLatents }, (_, latent) => latent);
  const aurocs = await rank(sae, learned, concept, all);
  const best = largest(nLatents, count, (latent) => aurocs[latent]!).filter((i) => !Number.isNaN(aurocs[i]));
  const tested = await rank(sae, heldOut, concept, best);
  return best.map((latent, i) => ({
    latent,
    separability: separabilityOrNull(aurocs[latent]!),
    heldOutSeparability: separabilityOrNull(tested[i]!),
  }));
}

interface Rows {
  h: Float32Array;
  aurocOf: (scores: Float32Array) => Float64Array;
  count: number;
}

function rowsWhere(
  { prompts, h }: CapturedPrompts,
  { config: { dModel }, concepts }: Sae,
  holds: (prompt: CapturedPrompts['prompts'][number]) => boolean,
): Rows {
  const rows = prompts.flatMap((prompt, i) => (holds(prompt) ? [i] : []));
  const labels = labelConcepts(
    rows.map((row) => prompts[row]!.concept),
    concepts.length,
  );
  return { h: takeRows(h, rows, dModel), aurocOf: createAuroc(labels), count: rows.length };
}

/** AUROC of each latent for the concept; NaN without prompts. */
async function rank(
  sae: Sae,
  { h, aurocOf, count }: Rows,
  concept: number,
  latents: readonly number[],
): Promise<number[]> {
  if (count === 0) return latents.map(() => Number.NaN);
  const aurocs: number[] = [];
  const atOnce = Math.max(1, Math.floor(MAX_ACTIVATIONS / count));
  for (let start = 0; start < latents.length; start += atOnce) {
    const part = latents.slice(start, start + atOnce);
    const columns = sae.latents(h, part); // [count, part]
    part.forEach((_, i) => {
      const scores = Float32Array.from({ length: count }, (_, row) => columns[row * part.length + i]!);
      aurocs.push(aurocOf(scores)[concept]!);
    });
    await turnOfTheLoop();
  }
  return aurocs;
}
