/** Concept swaps as they were stored. */
import { and, eq, gte, type SQL, sql } from 'drizzle-orm';
import type { Executor } from '../db/client.ts';
import { readByIds } from '../db/queries/byIds.ts';
import { type Order, type Page, type PageArgs, readPage, readPages } from '../db/queries/page.ts';
import { hasWords } from '../db/queries/search.ts';
import { interventions } from '../db/tables/index.ts';
import type { SwapMethod } from '../engine/contract/swap.ts';

export type Intervention = typeof interventions.$inferSelect;

export interface InterventionFilter {
  runId?: string | null;
  success?: boolean | null;
  method?: SwapMethod | null;
  sourceConceptId?: string | null;
  targetConceptId?: string | null;
  /** Words of its prompt, or of one of its answers. */
  text?: string | null;
  /** Done at this time or later. */
  since?: Date | null;
}

/** For each id its intervention, or null. */
export function interventionsByIds(db: Executor, ids: readonly string[]): Promise<(Intervention | null)[]> {
  return readByIds(db, interventions, interventions.id, ids);
}

const NEWEST_FIRST = { columns: [interventions.createdAt, interventions.id], direction: 'desc' } as const;

/** By what interventions are listed. */
const ORDERS = {
  CREATED_AT: interventions.createdAt,
  ALPHA: interventions.alpha,
  METHOD: interventions.method,
} as const;
export interface InterventionOrder {
  field: keyof typeof ORDERS;
  direction: 'asc' | 'desc';
}

function orderFor({ field, direction }: InterventionOrder): Order {
  const { createdAt, id } = interventions;
  return { columns: field === 'CREATED_AT' ? [createdAt, id] : [ORDERS[field], createdAt, id], direction };
}

const SEARCHED = sql`concat_ws(' ', ${interventions.prompt}, ${interventions.expectedAnswer},
  ${interventions.baseline}->>'text', ${interventions.result}->>'text')`;

/** Interventions that fit the filter, newest first unless ordered otherwise. */
export function listInterventions(
  db: Executor,
  filter: InterventionFilter,
  args: PageArgs,
  order: InterventionOrder = { field: 'CREATED_AT', direction: 'desc' },
): Promise<Page<Intervention>> {
  const { runId, success, method, sourceConceptId, targetConceptId, text, since } = filter;
  const where: (SQL | undefined)[] = [
    runId == null ? undefined : eq(interventions.runId, runId),
    success == null ? undefined : eq(interventions.success, success),
    method == null ? undefined : eq(interventions.method, method),
    sourceConceptId == null ? undefined : eq(interventions.sourceConceptId, sourceConceptId),
    targetConceptId == null ? undefined : eq(interventions.targetConceptId, targetConceptId),
    since == null ? undefined : gte(interventions.createdAt, since),
    hasWords(SEARCHED, text),
  ];
  return readPage(db, interventions, { where: and(...where), order: orderFor(order) }, args);
}

/** For each run one page of its interventions, newest first. */
export function pageInterventionsOfRuns(
  db: Executor,
  runIds: readonly string[],
  args: PageArgs,
): Promise<Map<string, Page<Intervention>>> {
  const query = { by: interventions.runId, values: runIds, order: NEWEST_FIRST };
  return readPages(db, interventions, query, args);
}
