/** Language models: what training runs made. */
import { and, eq, inArray } from 'drizzle-orm';
import type { Executor } from '../db/client.ts';
import { readByIds } from '../db/queries/byIds.ts';
import { type Page, type PageArgs, readPage, readPages } from '../db/queries/page.ts';
import type { Run } from '../db/queries/runs.ts';
import { models, runs } from '../db/tables.ts';

export type { ModelSource } from '../db/tables.ts';

export type Model = typeof models.$inferSelect;

export interface ModelFilter {
  /** Models trained on this dataset. */
  datasetId?: string | null;
}

/** For each id its model, or null. */
export function modelsByIds(db: Executor, ids: readonly string[]): Promise<(Model | null)[]> {
  return readByIds(db, models, models.id, ids);
}

/** Models, newest first. */
export function listModels(db: Executor, filter: ModelFilter, args: PageArgs): Promise<Page<Model>> {
  const where = filter.datasetId ? eq(models.datasetId, filter.datasetId) : undefined;
  const order = { columns: [models.createdAt, models.id], direction: 'desc' } as const;
  return readPage(db, models, { where, order }, args);
}

/** For each model the run that trained it, or null. */
export async function trainingRunsOfModels(
  db: Executor,
  modelIds: readonly string[],
): Promise<(Run | null)[]> {
  const rows = await db
    .select()
    .from(runs)
    .where(and(eq(runs.kind, 'MODEL'), inArray(runs.modelId, [...modelIds])));
  return modelIds.map((id) => rows.find((run) => run.modelId === id) ?? null);
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
