/** Old rows that nobody needs, what has been collected, and how large the rest is. */
import { eq, sql } from 'drizzle-orm';
import type { Executor } from '../client.ts';
import { collections, type RetentionPolicyName } from '../tables/index.ts';
import type { Amount } from './collectable.ts';

export type Collection = typeof collections.$inferSelect;

/** Rows that one statement deletes, so that none holds its locks for long. */
const BATCH = 5000;

/**
 * Of runs that ended before then: what they logged, and all their changes of status but the last, which ends whoever
 * follows them. Points, cells and parts are results.
 */
const oldEvents = (before: Date) => sql`
  from run_events e join runs r on r.id = e.run_id
  where r.finished_at < ${before.toISOString()} and (e.type = 'LOG' or e.type = 'STATUS' and e.seq < (
    select max(l.seq) from run_events l where l.run_id = e.run_id and l.type = 'STATUS'))`;

const oldEntries = (before: Date) => sql`from audit_entries e where e.at < ${before.toISOString()}`;

/** Workers that are gone, and that no run names. */
const oldWorkers = (before: Date) => sql`
  from workers e where e.ended_at < ${before.toISOString()}
    and not exists (select from runs where runs.worker_id = e.id)`;

/** What is old by a rule about rows. */
const OLD = {
  EVENTS: { table: sql`run_events`, rows: oldEvents },
  AUDIT: { table: sql`audit_entries`, rows: oldEntries },
  WORKERS: { table: sql`workers`, rows: oldWorkers },
} as const;

export type RowPolicy = keyof typeof OLD;

/** How much there is from before then; bytes as Postgres keeps the rows. */
export async function measureRows(db: Executor, policy: RowPolicy, before: Date): Promise<Amount> {
  const { rows } = await db.execute<{ items: string; bytes: string }>(
    sql`select count(*) as items, coalesce(sum(pg_column_size(e.*)), 0) as bytes ${OLD[policy].rows(before)}`,
  );
  return { items: Number(rows[0]!.items), bytes: Number(rows[0]!.bytes) };
}

/** Deletes it, piece by piece, until there is none left or `signal` aborts. */
export async function collectRows(
  db: Executor,
  policy: RowPolicy,
  before: Date,
  signal?: AbortSignal,
): Promise<Amount> {
  const { table, rows: old } = OLD[policy];
  const done = { items: 0, bytes: 0 };
  while (!signal?.aborted) {
    const { rows } = await db.execute<{ items: string; bytes: string }>(sql`
      with old as (select e.ctid ${old(before)} limit ${BATCH}), gone as (
        delete from ${table} e where e.ctid = any(array(select ctid from old)) returning pg_column_size(e.*) as bytes
      ) select count(*) as items, coalesce(sum(bytes), 0) as bytes from gone`);
    const items = Number(rows[0]!.items);
    done.items += items;
    done.bytes += Number(rows[0]!.bytes);
    if (items < BATCH) break;
  }
  return done;
}

export function listCollections(db: Executor): Promise<Collection[]> {
  return db.select().from(collections);
}

/** When something was last looked for by this rule, by whichever server; null if never. */
export async function lastCollection(db: Executor, policy: RetentionPolicyName): Promise<Date | null> {
  const [row] = await db
    .select({ at: collections.at })
    .from(collections)
    .where(eq(collections.policy, policy));
  return row?.at ?? null;
}

export async function noteCollection(
  db: Executor,
  policy: RetentionPolicyName,
  { items, bytes }: Amount,
): Promise<void> {
  await db
    .insert(collections)
    .values({ policy, at: sql`now()`, items, bytes, totalItems: items, totalBytes: bytes })
    .onConflictDoUpdate({
      target: collections.policy,
      set: {
        at: sql`now()`,
        items,
        bytes,
        totalItems: sql`${collections.totalItems} + ${items}`,
        totalBytes: sql`${collections.totalBytes} + ${bytes}`,
      },
    });
}

export interface KeptTable {
  name: string;
  /** As Postgres last counted them. */
  rows: number;
  /** With its indexes. */
  bytes: number;
}

/** The tables of this installation, largest first. */
export async function measureTables(db: Executor): Promise<KeptTable[]> {
  const { rows } = await db.execute<{ name: string; rows: string; bytes: string }>(sql`
    select c.relname as name, greatest(c.reltuples, 0)::bigint as rows, pg_total_relation_size(c.oid) as bytes
    from pg_class c where c.relnamespace = current_schema()::regnamespace and c.relkind = 'r'
    order by bytes desc, name`);
  return rows.map(({ name, rows: n, bytes }) => ({ name, rows: Number(n), bytes: Number(bytes) }));
}
