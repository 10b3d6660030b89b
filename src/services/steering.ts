/** One prompt under edits at several strengths, while the caller waits; and what of it was kept. */
import { eq } from 'drizzle-orm';
import { z } from 'zod';
import type { Executor } from '../db/client.ts';
import { readByIds } from '../db/queries/byIds.ts';
import { type Page, type PageArgs, readPage } from '../db/queries/page.ts';
import { steerings } from '../db/tables/index.ts';
import { distinct, number, whole } from '../engine/contract/describe.ts';
import { parseOrThrow } from '../errors.ts';
import { type EditInput, editsInput } from './editInput.ts';
import { inEditsTerms, readSteered, resolveEdits } from './editResolution.ts';
import type { EngineWork } from './engine.ts';
import { wholeText } from './latentText.ts';
import { chatSetting, loadSaePair, readSae } from './sae.ts';

export type { NamedEdit, NamedTarget } from '../db/tables/index.ts';
export { MAX_STEERED_TOKENS } from '../engine/contract/edits.ts';

/** What a request says in plain values. */
export const steerSettings = z.strictObject({
  alphas: distinct(number(-1000, 1000), { min: 1, max: 32 })
    .describe('The prompt is continued once for each; it multiplies the strength of every edit.')
    .default([1]),
  maxNewTokens: whole(1, 256).describe('Longest continuation in tokens.').default(16),
  chat: chatSetting,
});

const steerRequest = steerSettings.extend({
  saeId: z.uuid(),
  prompt: wholeText,
  edits: editsInput.min(1),
});

export type SteerRequest = Omit<z.input<typeof steerRequest>, 'edits'> & { edits: EditInput[] };

/** A stored one. */
export type Steering = typeof steerings.$inferSelect;
export type SteeringResult = Pick<Steering, 'baseline' | 'results'>;

/**
 * Continues the prompt greedily without the edits and, for each alpha, with them; stores nothing.
 * @throws AppError NOT_FOUND for the SAE or a dataset; INVALID_INPUT; UNAVAILABLE when the engine cannot be had.
 */
export async function steerPrompt(work: EngineWork, request: SteerRequest): Promise<SteeringResult> {
  return (await steer(work, request)).result;
}

/** The same, stored. */
export async function applyEdits(work: EngineWork, request: SteerRequest): Promise<Steering> {
  const { result, edits, input } = await steer(work, request);
  const { saeId, prompt, maxNewTokens, chat } = input;
  const [stored] = await work.db
    .insert(steerings)
    .values({ saeId, prompt, chat, maxNewTokens, edits, ...result })
    .returning();
  return stored!;
}

async function steer(work: EngineWork, request: SteerRequest) {
  const input = parseOrThrow(steerRequest, request);
  const { prompt, alphas, maxNewTokens, chat } = input;
  const steered = await readSteered(work, await readSae(work.db, input.saeId));
  const resolved = await resolveEdits(work, steered, input.edits);
  const call = {
    ...(await loadSaePair(work, steered.sae, chat ? 'CHAT' : undefined)),
    ...{ prompt, alphas, maxNewTokens, edits: resolved.map(({ edit }) => edit) },
  };
  const { baseline, results } = await work.engine.call('steer', call).catch((error) => {
    throw inEditsTerms(error, input.edits);
  });
  const byAlpha = results.map((continuation, i) => ({ alpha: alphas[i]!, continuation }));
  return { input, edits: resolved.map(({ named }) => named), result: { baseline, results: byAlpha } };
}

/** For each id its steering, or null. */
export function steeringsByIds(db: Executor, ids: readonly string[]): Promise<(Steering | null)[]> {
  return readByIds(db, steerings, steerings.id, ids);
}

/** Steerings, newest first. */
export function listSteerings(
  db: Executor,
  { saeId }: { saeId?: string | null },
  args: PageArgs,
): Promise<Page<Steering>> {
  const where = saeId == null ? undefined : eq(steerings.saeId, saeId);
  const order = { columns: [steerings.createdAt, steerings.id], direction: 'desc' } as const;
  return readPage(db, steerings, { where, order }, args);
}
