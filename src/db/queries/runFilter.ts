/** Which runs are meant, as a condition on rows of `runs`. */
import { and, arrayContains, eq, gte, inArray, isNotNull, isNull, type SQL, sql } from 'drizzle-orm';
import type { RunKind } from '../../engine/contract/runs.ts';
import { datasets, models, type RunStatus, runs } from '../tables/index.ts';
import { hasWords } from './search.ts';

export interface RunFilter {
  status?: readonly RunStatus[] | null;
  kind?: readonly RunKind[] | null;
  datasetId?: string | null;
  modelId?: string | null;
  /** Parts of sweeps only, or none of them. */
  isPart?: boolean | null;
  /** Exactly one of its tags. */
  tag?: string | null;
  /** Words of its name, its notes or its tags, or of the names of its model and dataset. */
  text?: string | null;
  /** Started at this time or later. */
  since?: Date | null;
}

/** Undefined where the filter leaves nothing out. */
export function whereRuns(filter: RunFilter): SQL | undefined {
  return and(
    whereBorn(filter),
    filter.status ? inArray(runs.status, [...filter.status]) : undefined,
    filter.modelId ? eq(runs.modelId, filter.modelId) : undefined,
    filter.tag ? arrayContains(runs.tags, [filter.tag]) : undefined,
    hasWords(SEARCHED, filter.text),
  );
}

/** The conditions whose answers never change in the life of a run: a run that fails them never fits the filter. */
export function whereBorn(filter: RunFilter): SQL | undefined {
  return and(
    filter.kind ? inArray(runs.kind, [...filter.kind]) : undefined,
    filter.datasetId ? eq(runs.datasetId, filter.datasetId) : undefined,
    filter.isPart == null ? undefined : filter.isPart ? isNotNull(runs.parentId) : isNull(runs.parentId),
    filter.since ? gte(runs.createdAt, filter.since) : undefined,
  );
}

const SEARCHED = sql`concat_ws(' ', ${runs.name}, ${runs.notes}, array_to_string(${runs.tags}, ' '),
  (select m.name from ${models} m where m.id = ${runs.modelId}),
  (select d.name from ${datasets} d where d.id = ${runs.datasetId}))`;
