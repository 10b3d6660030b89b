/** One prompt under edits at several strengths, while the caller waits. */
import { z } from 'zod';
import { distinct, number, whole } from '../engine/contract/describe.ts';
import type { SteerResult } from '../engine/contract/edits.ts';
import { parseOrThrow } from '../errors.ts';
import { type EditInput, editsInput } from './editInput.ts';
import { inEditsTerms, readSteered, resolveEdits } from './editResolution.ts';
import type { EngineWork } from './engine.ts';
import { wholeText } from './latentText.ts';
import { loadSaePair, readSae } from './sae.ts';

export { MAX_STEERED_TOKENS } from '../engine/contract/edits.ts';

/** What a request says in plain values. */
export const steerSettings = z.strictObject({
  alphas: distinct(number(-1000, 1000), { min: 1, max: 32 })
    .describe('The prompt is continued once for each; it multiplies the strength of every edit.')
    .default([1]),
  maxNewTokens: whole(1, 256).describe('Longest continuation in tokens.').default(16),
});

const steerRequest = steerSettings.extend({
  saeId: z.uuid(),
  prompt: wholeText,
  edits: editsInput.min(1),
});

export type SteerRequest = Omit<z.input<typeof steerRequest>, 'edits'> & { edits: EditInput[] };

export interface Steering {
  baseline: SteerResult['baseline'];
  results: { alpha: number; continuation: SteerResult['baseline'] }[];
}

/**
 * Continues the prompt greedily without the edits and, for each alpha, with them; stores nothing.
 * @throws AppError NOT_FOUND for the SAE or a dataset; INVALID_INPUT; UNAVAILABLE when the engine cannot be had.
 */
export async function steerPrompt(work: EngineWork, request: SteerRequest): Promise<Steering> {
  const { saeId, edits, alphas, ...rest } = parseOrThrow(steerRequest, request);
  const steered = await readSteered(work, await readSae(work.db, saeId));
  const call = {
    ...(await loadSaePair(work, steered.sae)),
    ...{ ...rest, alphas, edits: await resolveEdits(work, steered, edits) },
  };
  const { baseline, results } = await work.engine.call('steer', call).catch((error) => {
    throw inEditsTerms(error, edits);
  });
  return { baseline, results: results.map((continuation, i) => ({ alpha: alphas[i]!, continuation })) };
}
