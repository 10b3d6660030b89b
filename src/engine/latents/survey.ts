/** Measures all latents of an SAE at once: how often and how strongly they fire, and what they tell apart. */
import { setImmediate as turnOfTheLoop } from 'node:timers/promises';
import { createAuroc, labelConcepts } from '../align/separability.ts';
import type { LatentSurvey } from '../contract/latents.ts';
import { SLOT_ON } from '../edits/armed.ts';
import type { Sae } from '../sae/sae.ts';
import type { CapturedPrompts } from './capture.ts';

/** Activations that are looked at together: bounds memory where the SAE is wide. TOPK computes all for any. */
const MAX_ACTIVATIONS = 2 ** 24;
const MAX_OF_TOPK = 2 ** 26;

/** @param breathe Called between parts, for messages to come in. */
export async function surveyLatents(
  sae: Sae,
  captured: CapturedPrompts,
  breathe: () => Promise<unknown> = turnOfTheLoop,
): Promise<LatentSurvey> {
  const { nLatents, config } = sae;
  const { prompts, h, nConcepts } = captured;
  const survey: LatentSurvey = {
    prompts: prompts.length,
    nConcepts,
    fired: new Int32Array(nLatents),
    mean: new Float64Array(nLatents),
    max: new Float64Array(nLatents),
    aurocs: new Float64Array(nLatents * nConcepts),
    heldOutAurocs: new Float64Array(nLatents * nConcepts),
  };
  const learned = rankedRows(captured, ({ learned }) => learned);
  const heldOut = rankedRows(captured, ({ split }) => split === 'TEST_OOD');
  const values = new Float32Array(prompts.length);
  const most = config.activation === 'TOPK' ? MAX_OF_TOPK : MAX_ACTIVATIONS;
  const atOnce = Math.max(1, Math.floor(most / Math.max(1, prompts.length)));
  for (let start = 0; start < nLatents; start += atOnce) {
    const part = Array.from({ length: Math.min(atOnce, nLatents - start) }, (_, i) => start + i);
    const columns = sae.only(h, part); // [prompts, part]
    for (const [i, latent] of part.entries()) {
      for (let row = 0; row < values.length; row++) values[row] = columns[row * part.length + i]!;
      noteValues(survey, latent, values, latent < config.nFree ? null : SLOT_ON);
      survey.aurocs.set(learned(values), latent * nConcepts);
      survey.heldOutAurocs.set(heldOut(values), latent * nConcepts);
      if (i % 256 === 255) await breathe();
    }
    await breathe();
  }
  return survey;
}

/** @param above What it must exceed to fire; null where anything but 0 is firing. */
function noteValues(survey: LatentSurvey, latent: number, values: Float32Array, above: number | null): void {
  let [fired, sum, max] = [0, 0, -Infinity];
  for (let row = 0; row < values.length; row++) {
    const value = values[row]!;
    if (above === null ? value !== 0 : value > above) fired++;
    sum += value;
    if (value > max) max = value;
  }
  survey.fired[latent] = fired;
  survey.mean[latent] = sum / values.length;
  survey.max[latent] = max;
}

/** From a latent's values on all prompts to its AUROC for each concept on those that are meant; NaN without any. */
function rankedRows(
  { prompts, nConcepts }: CapturedPrompts,
  isMeant: (prompt: CapturedPrompts['prompts'][number]) => boolean,
): (values: Float32Array) => Float64Array {
  const rows = prompts.flatMap((prompt, i) => (isMeant(prompt) ? [i] : []));
  const labels = labelConcepts(
    rows.map((row) => prompts[row]!.concept),
    nConcepts,
  );
  const aurocOf = createAuroc(labels);
  const undefinedHere = labels.counts.map((own) => own === 0 || own === rows.length);
  const chance = Float64Array.from(undefinedHere, (is) => (is ? Number.NaN : 0.5));
  const own = new Float32Array(rows.length);
  return (values) => {
    let fires = false;
    for (let i = 0; i < rows.length; i++) {
      own[i] = values[rows[i]!]!;
      fires ||= own[i] !== 0;
    }
    // All equal: nothing to rank, which most latents of a wide SAE come to.
    return fires ? aurocOf(own) : chance;
  };
}
