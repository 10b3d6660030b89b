/** Runs as they are read, listed and cancelled; how each kind starts is in its file of `runs/`. */
import type { Db, Executor } from '../db/client.ts';
import { readByIds } from '../db/queries/byIds.ts';
import { type LogEvent, readLog } from '../db/queries/events.ts';
import { type MetricSeries, readMetricsOfRuns, type StepRange } from '../db/queries/metrics.ts';
import type { Page, PageArgs } from '../db/queries/page.ts';
import { type Place, readSnapshot } from '../db/queries/runChanges.ts';
import * as queries from '../db/queries/runs.ts';
import { runs } from '../db/tables/index.ts';
import { invalidInput, notFound } from '../errors.ts';
import { dequeueRun } from '../jobs/queue.ts';

export type * from '../db/queries/events.ts';
export { ALL_STEPS, type MetricSeries } from '../db/queries/metrics.ts';
export type { Page, PageArgs } from '../db/queries/page.ts';
export type { Place } from '../db/queries/runChanges.ts';
export { resultOf, settingsOf } from '../db/queries/runOf.ts';
export type { Run, RunFilter, RunOrder } from '../db/queries/runs.ts';
export type { PlacedChange } from '../db/runChangeChannel.ts';
export type { RunChanges } from '../db/runChanges.ts';
export type { RunFeed } from '../db/runFeed.ts';

type Run = queries.Run;

/**
 * Ends a run that waits or works, with the parts that it has; their workers end the engine processes at once.
 * @throws AppError NOT_FOUND; CONFLICT when it has ended already.
 */
export async function cancelRun(db: Db, id: string): Promise<Run> {
  const { run, parts } = await queries.cancelRun(db, id);
  // Each by itself, so that it never holds one job while it waits for another; a job left over does no harm.
  for (const each of [run, ...parts]) await dequeueRun(db, each.id);
  return run;
}

/** @throws AppError NOT_FOUND */
export async function getRun(db: Executor, id: string): Promise<Run> {
  const run = await queries.readRun(db, id);
  if (!run) throw notFound('Run', id);
  return run;
}

/** For each id its run, or null. */
export function runsByIds(db: Executor, ids: readonly string[]): Promise<(Run | null)[]> {
  return readByIds(db, runs, runs.id, ids);
}

/** A page of runs, and a moment before it was read, behind which changes of runs can be followed. */
export interface RunPage extends Page<Run> {
  changesFrom: Place;
}

/** Runs that fit the filter, newest first unless another order is given. */
export async function listRuns(
  db: Executor,
  filter: queries.RunFilter,
  args: PageArgs,
  order?: queries.RunOrder,
): Promise<RunPage> {
  const seen = await readSnapshot(db);
  return { ...(await queries.listRuns(db, filter, args, order)), changesFrom: { seen, within: null } };
}

/** Which series, and how much of them. */
export interface MetricsAsked {
  /** Null is all. */
  names: readonly string[] | null;
  maxPoints: number;
  range: StepRange;
}

/**
 * For each run its metric series, each thinned to `maxPoints` without losing its extremes.
 * @throws AppError INVALID_INPUT
 */
export function metricsOfRuns(
  db: Executor,
  runIds: readonly string[],
  { names, maxPoints, range }: MetricsAsked,
): Promise<MetricSeries[][]> {
  return readMetricsOfRuns(db, runIds, names, maxPoints, range);
}

const MAX_LOG_LINES = 1000;

/**
 * The newest `last` lines of a run's log, oldest first.
 * @throws AppError INVALID_INPUT
 */
export function getLog(db: Executor, runId: string, last: number): Promise<LogEvent[]> {
  if (last < 0 || last > MAX_LOG_LINES)
    throw invalidInput(['last'], `last must be 0–${MAX_LOG_LINES}, got ${last}`);
  return readLog(db, runId, last);
}
