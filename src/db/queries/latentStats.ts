/** Measured statistics of latents: stored once for an SAE and a dataset, read in pages and by what they tell. */
import { and, eq, gt, gte, inArray, lt, lte, type SQL, sql } from 'drizzle-orm';
import type { LatentSurvey } from '../../engine/contract/latents.ts';
import type { Executor } from '../client.ts';
import { latentPages, latentStats, latentSurveys, latentTokens } from '../tables/index.ts';
import { type Page, type PageArgs, readPage } from './page.ts';

export type LatentStats = typeof latentStats.$inferSelect;

/** An SAE, and the dataset on whose prompts its latents are measured. */
export interface MeasuredOn {
  saeId: string;
  datasetId: string;
}

/** Latents whose rows are written with one statement. */
const ROWS_AT_ONCE = 4096;

/** On how many prompts the latents were measured; null where they were not. */
export async function readSurvey(db: Executor, { saeId, datasetId }: MeasuredOn): Promise<number | null> {
  const [survey] = await db
    .select({ prompts: latentSurveys.prompts })
    .from(latentSurveys)
    .where(and(eq(latentSurveys.saeId, saeId), eq(latentSurveys.datasetId, datasetId)));
  return survey?.prompts ?? null;
}

/** Stores what was measured of all latents, unless somebody else has just done so. */
export async function insertSurvey(
  tx: Executor,
  { saeId, datasetId }: MeasuredOn,
  { prompts, nConcepts, fired, mean, max, aurocs, heldOutAurocs }: LatentSurvey,
): Promise<void> {
  const inserted = await tx
    .insert(latentSurveys)
    .values({ saeId, datasetId, prompts })
    .onConflictDoNothing()
    .returning();
  if (inserted.length === 0) return;
  const part = (values: { slice(a: number, b: number): ArrayLike<number> }, from: number, to: number) =>
    sql.param(Array.from(values.slice(from, to)));
  for (let start = 0; start < fired.length; start += ROWS_AT_ONCE) {
    const end = Math.min(start + ROWS_AT_ONCE, fired.length);
    const ofConcepts = (values: Float64Array) => part(values, start * nConcepts, end * nConcepts);
    const own = (list: SQL) => sql`(${list})[(r.i - 1) * ${nConcepts}::int + 1 : r.i * ${nConcepts}::int]`;
    await tx.execute(sql`
      with given as (select ${ofConcepts(aurocs)}::float8[] as aurocs, ${ofConcepts(heldOutAurocs)}::float8[] as held_out)
      insert into latent_stats (sae_id, dataset_id, index, fired, mean, max, aurocs, held_out_aurocs)
      select ${saeId}::uuid, ${datasetId}::uuid, ${start}::int + r.i - 1, r.fired, r.mean, r.max,
        ${own(sql`given.aurocs`)}, ${own(sql`given.held_out`)}
      from given, unnest(${part(fired, start, end)}::int[], ${part(mean, start, end)}::float8[],
        ${part(max, start, end)}::float8[]) with ordinality as r (fired, mean, max, i)`);
  }
}

/** By what latents are listed. */
const ORDERS = {
  INDEX: latentStats.index,
  DENSITY: latentStats.fired,
  MEAN: latentStats.mean,
  MAX: latentStats.max,
} as const;
export type LatentOrder = { field: keyof typeof ORDERS; direction: 'ASC' | 'DESC' };
export const LATENT_ORDERS = Object.keys(ORDERS) as (keyof typeof ORDERS)[];

export interface LatentFilter {
  /** Slots alone, or free latents alone. */
  isSlot?: boolean | null;
  /** Those that fire on no prompt, or those that fire on any. */
  isDead?: boolean | null;
  /** Shares of the prompts. */
  minDensity?: number | null;
  maxDensity?: number | null;
}

/** One page of the latents of an SAE. */
export function pageLatentStats(
  db: Executor,
  { saeId, datasetId, nFree, prompts }: MeasuredOn & { nFree: number; prompts: number },
  { isSlot, isDead, minDensity, maxDensity }: LatentFilter,
  { field, direction }: LatentOrder,
  args: PageArgs,
): Promise<Page<LatentStats>> {
  const { index, fired } = latentStats;
  const where = and(
    eq(latentStats.saeId, saeId),
    eq(latentStats.datasetId, datasetId),
    isSlot == null ? undefined : isSlot ? gte(index, nFree) : lt(index, nFree),
    isDead == null ? undefined : isDead ? eq(fired, 0) : gt(fired, 0),
    minDensity == null ? undefined : gte(fired, Math.ceil(minDensity * prompts - 1e-9)),
    maxDensity == null ? undefined : lte(fired, Math.floor(maxDensity * prompts + 1e-9)),
  );
  const column = ORDERS[field];
  const order = {
    columns: column === index ? [index] : [column, index],
    direction: direction === 'ASC' ? 'asc' : 'desc',
  } as const;
  return readPage(db, latentStats, { where, order: order as never }, args);
}

/** The latents that tell the concept at this position best, best first, the first of equals first. */
export function bestLatentStats(
  db: Executor,
  { saeId, datasetId }: MeasuredOn,
  concept: number,
  count: number,
): Promise<LatentStats[]> {
  const auroc = sql`${latentStats.aurocs}[${concept + 1}::int]`;
  return db
    .select()
    .from(latentStats)
    .where(
      and(
        eq(latentStats.saeId, saeId),
        eq(latentStats.datasetId, datasetId),
        // As greatest of all NaN would come first.
        sql`${auroc} <> 'NaN'`,
      ),
    )
    .orderBy(sql`${auroc} desc`, latentStats.index)
    .limit(count);
}

/** Stored pages of these latents, by index. */
export async function readLatentPages(
  db: Executor,
  { saeId, datasetId }: MeasuredOn,
  indices: readonly number[],
): Promise<Map<number, (typeof latentPages.$inferSelect)['page']>> {
  const rows = await db
    .select({ index: latentPages.index, page: latentPages.page })
    .from(latentPages)
    .where(
      and(
        eq(latentPages.saeId, saeId),
        eq(latentPages.datasetId, datasetId),
        inArray(latentPages.index, [...indices]),
      ),
    );
  return new Map(rows.map(({ index, page }) => [index, page]));
}

/** Stores these pages of one SAE and dataset, but for those that somebody else has stored. */
export async function insertLatentPages(
  db: Executor,
  rows: (typeof latentPages.$inferInsert)[],
): Promise<void> {
  if (rows.length > 0) await db.insert(latentPages).values(inOrder(rows)).onConflictDoNothing();
}

/** Whoever inserts a key waits for another who is just inserting it: in any order two would wait for each other. */
function inOrder<Row extends { index: number; exampleId?: string }>(rows: readonly Row[]): Row[] {
  const other = ({ exampleId = '' }: Row) => exampleId;
  return rows.toSorted((a, b) => a.index - b.index || (other(a) < other(b) ? -1 : 1));
}

/** Stored activations of latents of an SAE at the tokens of examples, by `<index>/<example id>`. */
export async function readLatentTokens(
  db: Executor,
  saeId: string,
  exampleIds: readonly string[],
): Promise<Map<string, (typeof latentTokens.$inferSelect)['tokens']>> {
  const rows = await db
    .select()
    .from(latentTokens)
    .where(and(eq(latentTokens.saeId, saeId), inArray(latentTokens.exampleId, [...exampleIds])));
  return new Map(rows.map(({ index, exampleId, tokens }) => [`${index}/${exampleId}`, tokens]));
}

export async function insertLatentTokens(
  db: Executor,
  rows: (typeof latentTokens.$inferInsert)[],
): Promise<void> {
  if (rows.length > 0) await db.insert(latentTokens).values(inOrder(rows)).onConflictDoNothing();
}
