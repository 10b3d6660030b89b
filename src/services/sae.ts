/** Sparse autoencoders, whatever made them: as they are found, listed, and handed to the engine. */
import { and, desc, eq, inArray, isNotNull, isNull } from 'drizzle-orm';
import { z } from 'zod';
import type { Db, Executor } from '../db/client.ts';
import { readByIds } from '../db/queries/byIds.ts';
import { readPrompted } from '../db/queries/engineDataset.ts';
import { type Page, type PageArgs, readPage, readPages } from '../db/queries/page.ts';
import type { Run } from '../db/queries/runs.ts';
import { type Sae, saesOfRuns } from '../db/queries/saes.ts';
import { type Found, type NamedOrder, orderFound, whereFound } from '../db/queries/search.ts';
import { runs, saes, usedSaes } from '../db/tables/index.ts';
import type { ModelRef } from '../engine/contract/model.ts';
import { loadModelRef } from '../runs/studied.ts';
import type { EngineWork } from './engine.ts';

export { type Sae, saesOfRuns, usedSaeOfRuns } from '../db/queries/saes.ts';
export type { SaeSource } from '../db/tables/index.ts';
export { readSae } from '../runs/pretrained.ts';

/** Of prompts of a caller's own. */
export const chatSetting = z
  .boolean()
  .describe(
    "True: the prompt is put as a user's message, by the model's chat template, behind no prefix, and what follows is the answer. False: it is read as those of the SAE's dataset are.",
  )
  .default(false);

const NEWEST_FIRST = { columns: [saes.createdAt, saes.id], direction: 'desc' } as const;

export interface SaeFilter extends Found {
  /** Those of this model's activations. */
  modelId?: string | null;
  layer?: number | null;
  /** Those that were imported, or those that were trained here. */
  isImported?: boolean | null;
}

/** For each id its SAE, or null. */
export function saesByIds(db: Executor, ids: readonly string[]): Promise<(Sae | null)[]> {
  return readByIds(db, saes, saes.id, ids);
}

/** For each run the one SAE that it trained; null before its end, and of a run that trained none or one for each hop. */
export async function saeOfRuns(db: Executor, runIds: readonly string[]): Promise<(Sae | null)[]> {
  return (await saesOfRuns(db, runIds)).map((own) => (own.length === 1 ? own[0]! : null));
}

/** SAEs, newest first. */
export function listSaes(
  db: Executor,
  filter: SaeFilter,
  args: PageArgs,
  order?: NamedOrder,
): Promise<Page<Sae>> {
  const where = and(
    filter.modelId ? eq(saes.modelId, filter.modelId) : undefined,
    filter.layer == null ? undefined : eq(saes.layer, filter.layer),
    filter.isImported == null ? undefined : filter.isImported ? isNull(saes.runId) : isNotNull(saes.runId),
    whereFound(saes, filter),
  );
  return readPage(db, saes, { where, order: orderFound(saes, order) }, args);
}

/** For each model one page of the SAEs of its activations, newest first. */
export function pageSaesOfModels(
  db: Db,
  modelIds: readonly string[],
  args: PageArgs,
): Promise<Map<string, Page<Sae>>> {
  return readPages(db, saes, { by: saes.modelId, values: modelIds, order: NEWEST_FIRST }, args);
}

/**
 * The files of an SAE and of its model, as the engine takes them; prompts are put to the model as the dataset says, by
 * default the one that the SAE was trained on; or each as a message of a chat of its own. @throws AppError UNAVAILABLE without the files.
 */
export async function loadSaePair(
  { db, store }: Pick<EngineWork, 'db' | 'store'>,
  { id, modelId, artifactHash, datasetId }: Pick<Sae, 'id' | 'modelId' | 'artifactHash' | 'datasetId'>,
  promptsOf: string | null = datasetId,
): Promise<{ model: ModelRef; sae: string }> {
  const model = await loadModelRef(db, store, modelId);
  const prompted = promptsOf === 'CHAT' ? { chat: true } : promptsOf && (await readPrompted(db, promptsOf));
  return {
    model: prompted ? { ...model, prompted } : model,
    sae: await store.path(artifactHash, `the SAE ${id}`),
  };
}

/** For each SAE the runs that measured it, or are to, newest first. */
export async function evaluationsOfSaes(db: Executor, saeIds: readonly string[]): Promise<Run[][]> {
  const rows = await db
    .select({ saeId: usedSaes.saeId, run: runs })
    .from(usedSaes)
    .innerJoin(runs, eq(runs.id, usedSaes.runId))
    .where(and(inArray(usedSaes.saeId, [...saeIds]), eq(runs.kind, 'SAE_EVALUATION')))
    .orderBy(desc(runs.createdAt), desc(runs.id));
  return saeIds.map((id) => rows.filter(({ saeId }) => saeId === id).map(({ run }) => run));
}

/**
 * For each SAE the run that says how it does on a dataset (its own, unless another is named behind a slash): the newest
 * evaluation that has succeeded there, or else the run that trained it there; null where nobody has measured it.
 */
export async function measuringRuns(db: Executor, keys: readonly string[]): Promise<(Run | null)[]> {
  const asked = keys.map((key) => key.split('/') as [string, string?]);
  const ids = [...new Set(asked.map(([id]) => id))];
  const found = await saesByIds(db, ids);
  const evaluations = await evaluationsOfSaes(db, ids);
  const trainers = found.flatMap((sae) => sae?.runId ?? []);
  const trained = await db
    .select()
    .from(runs)
    .where(and(inArray(runs.id, trainers), inArray(runs.kind, ['ALIGNMENT', 'BASELINE'])));
  return asked.map(([id, dataset]) => {
    const sae = found[ids.indexOf(id)];
    const datasetId = dataset ?? sae?.datasetId;
    const candidates = [...evaluations[ids.indexOf(id)]!, ...trained.filter((run) => run.id === sae?.runId)];
    return candidates.find((run) => run.status === 'SUCCEEDED' && run.datasetId === datasetId) ?? null;
  });
}
