/** Language models: what training runs made. */
import { and, eq, inArray, sql } from 'drizzle-orm';
import type { Executor } from '../db/client.ts';
import { isAnyOf, readByIds } from '../db/queries/byIds.ts';
import { type Page, type PageArgs, readPage, readPages } from '../db/queries/page.ts';
import type { Run } from '../db/queries/runs.ts';
import { type Found, type NamedOrder, orderFound, whereFound } from '../db/queries/search.ts';
import { modelCheckpoints, models, runs } from '../db/tables/index.ts';

export type { ModelSource } from '../db/tables/index.ts';

export type StoredModel = typeof models.$inferSelect;
/** Without its tokenizer, which may be megabytes and is no part of an answer. */
export type Model = Omit<StoredModel, 'tokenizer'>;

export interface ModelFilter extends Found {
  /** Models trained on this dataset. */
  datasetId?: string | null;
  /** Those kept along a training, or (by default) none of them. */
  isCheckpoint?: boolean | null;
}

/** For each id its model, or null. */
export function modelsByIds(db: Executor, ids: readonly string[]): Promise<(Model | null)[]> {
  return readByIds(db, models, models.id, ids, ['tokenizer']);
}

/** For each model whether its files say how messages of a chat are put to it. */
export async function chatsOfModels(db: Executor, ids: readonly string[]): Promise<boolean[]> {
  const chat = sql<boolean>`${models.tokenizer} ->> 'chat' is not null`;
  const rows = await db.select({ id: models.id, chat }).from(models).where(isAnyOf(models.id, ids));
  const chats = new Map(rows.map((row) => [row.id, row.chat]));
  return ids.map((id) => chats.get(id) ?? false);
}

/** Models, newest first. */
export function listModels(
  db: Executor,
  filter: ModelFilter,
  args: PageArgs,
  order?: NamedOrder,
): Promise<Page<Model>> {
  const isKept = sql`exists (select from ${modelCheckpoints} c where c.model_id = ${models.id})`;
  const where = and(
    filter.datasetId ? eq(models.datasetId, filter.datasetId) : undefined,
    filter.isCheckpoint ? isKept : sql`not ${isKept}`,
    whereFound(models, filter),
  );
  return readPage(db, models, { where, order: orderFound(models, order), without: ['tokenizer'] }, args);
}

/** For each model the run that trained it, or kept it along its training; or null. */
export async function trainingRunsOfModels(
  db: Executor,
  modelIds: readonly string[],
): Promise<(Run | null)[]> {
  const rows = await db
    .select()
    .from(runs)
    .where(and(eq(runs.kind, 'MODEL'), inArray(runs.modelId, [...modelIds])));
  const kept = await db
    .select({ modelId: modelCheckpoints.modelId, run: runs })
    .from(modelCheckpoints)
    .innerJoin(runs, eq(runs.id, modelCheckpoints.runId))
    .where(inArray(modelCheckpoints.modelId, [...modelIds]));
  return modelIds.map(
    (id) =>
      kept.find(({ modelId }) => modelId === id)?.run ?? rows.find(({ modelId }) => modelId === id) ?? null,
  );
}

/** For each model kept along a training the steps behind it; null for any other. */
export async function trainingStepsOfModels(
  db: Executor,
  modelIds: readonly string[],
): Promise<(number | null)[]> {
  const rows = await db
    .select()
    .from(modelCheckpoints)
    .where(inArray(modelCheckpoints.modelId, [...modelIds]));
  return modelIds.map((id) => rows.find(({ modelId }) => modelId === id)?.step ?? null);
}

/** For each model one page of the alignment runs that study it, newest first. */
export function pageAlignmentRunsOfModels(
  db: Executor,
  modelIds: readonly string[],
  args: PageArgs,
): Promise<Map<string, Page<Run>>> {
  const order = { columns: [runs.createdAt, runs.id], direction: 'desc' } as const;
  const query = { where: eq(runs.kind, 'ALIGNMENT'), by: runs.modelId, values: modelIds, order };
  return readPages(db, runs, query, args);
}
