/**
 * Which runs changed between two moments. A moment is a snapshot of Postgres': it says of every transaction whether it
 * sees it, so what commits late, behind transactions that began after it, is neither missed nor told twice.
 */
import { and, eq, getTableColumns, gt, inArray, isNull, or, type SQL, sql } from 'drizzle-orm';
import type { RunKind } from '../../engine/contract/runs.ts';
import type { Executor } from '../client.ts';
import { runChanges, runs } from '../tables/index.ts';
import type { Run } from './runChange.ts';
import { type RunFilter, whereBorn, whereRuns } from './runFilter.ts';

/** `NOTIFY` channel without payloads: some run has changed. */
export const RUN_CHANGES_CHANNEL = 'run_changes';

/** As Postgres writes a `pg_snapshot`: `xmin:xmax:xid,xid`. */
export type Snapshot = string;

/** How far a subscriber has come. */
export interface Place {
  /** Everything that this moment sees was told. */
  seen: Snapshot;
  /** Behind that, of what this later moment sees, the runs up to this id. */
  within: { until: Snapshot; runId: string } | null;
}

/** A run that has changed, as it is now. */
export interface RunChange {
  runId: string;
  kind: RunKind;
  /** Null when it was deleted. */
  run: Run | null;
  /** Whether it fits the filter now. */
  fits: boolean;
}

/** Of a change that concerns many filters, which of them it fits. */
export interface SharedChange extends Omit<RunChange, 'fits'> {
  fits: readonly boolean[];
}

export async function readSnapshot(db: Executor): Promise<Snapshot> {
  const { rows } = await db.execute<{ now: Snapshot }>(sql`select pg_current_snapshot()::text as now`);
  return rows[0]!.now;
}

/** What has changed since, in the order of ids, and the moment up to which that is all. One statement for all filters. */
export async function readChanges(
  db: Executor,
  since: Snapshot,
  filters: readonly RunFilter[],
): Promise<{ until: Snapshot; changes: SharedChange[] }> {
  const fits = filters.map((filter) => fitsNow(whereRuns(filter)));
  const rows = await db
    .select({
      until: sql<Snapshot>`moment.now::text`,
      change: { runId: runChanges.runId, kind: runChanges.kind },
      run: getTableColumns(runs),
      fits: sql<boolean[]>`array[${sql.join(fits, sql`, `)}]::bool[]`,
    })
    .from(sql`(select pg_current_snapshot() as now) as moment`)
    .leftJoin(runChanges, and(unseenBy(since), seenBy(sql`moment.now`)))
    .leftJoin(runs, eq(runs.id, runChanges.runId))
    .orderBy(runChanges.runId);
  const changes = rows.flatMap(({ change, run, fits }) => (change ? [{ ...change, run, fits }] : []));
  return { until: rows[0]!.until, changes };
}

/**
 * What a subscriber missed who was at `place`, up to `until`: first the rest of what it was being told, then what came
 * after that. Runs that do not fit are among it where they may have fitted before.
 */
export async function readMissed(
  db: Executor,
  filter: RunFilter,
  place: Place,
  until: Snapshot,
): Promise<{ rest: RunChange[]; later: RunChange[] }> {
  const { seen, within } = place;
  const isRest = within ? seenBy(within.until) : sql<boolean>`false`;
  const mayHaveFitted = or(
    and(isNull(runs.id), filter.kind ? inArray(runChanges.kind, [...filter.kind]) : undefined),
    fitsNow(whereBorn(filter)),
  );
  const rows = await db
    .select({
      ...{ runId: runChanges.runId, kind: runChanges.kind, run: getTableColumns(runs) },
      fits: fitsNow(whereRuns(filter)),
      isRest,
    })
    .from(runChanges)
    .leftJoin(runs, eq(runs.id, runChanges.runId))
    .where(
      and(
        unseenBy(seen),
        seenBy(until),
        within ? or(gt(runChanges.runId, within.runId), sql`not ${isRest}`) : undefined,
        mayHaveFitted,
      ),
    )
    .orderBy(runChanges.runId);
  const changes = (which: boolean) =>
    rows.filter((row) => row.isRest === which).map(({ isRest: _, ...change }) => change);
  return { rest: changes(true), later: changes(false) };
}

/** Ids of all runs that fit. */
export async function listFitting(db: Executor, filter: RunFilter): Promise<string[]> {
  const rows = await db.select({ id: runs.id }).from(runs).where(whereRuns(filter));
  return rows.map(({ id }) => id);
}

/** False of a run that was deleted. */
const fitsNow = (where: SQL | undefined) =>
  sql<boolean>`(${runs.id} is not null and coalesce(${where ?? sql`true`}, false))`;

/** The comparison lets the index find the few; transactions below it are seen by every such snapshot. */
const unseenBy = (snapshot: Snapshot) =>
  sql`${runChanges.xid} >= pg_snapshot_xmin(${snapshot}::pg_snapshot)
    and not pg_visible_in_snapshot(${runChanges.xid}, ${snapshot}::pg_snapshot)`;

/** Rows whose transactions no snapshot sees yet come from a dump of another cluster. */
const seenBy = (snapshot: Snapshot | SQL) =>
  sql<boolean>`pg_visible_in_snapshot(${runChanges.xid}, ${snapshot}::pg_snapshot)`;
