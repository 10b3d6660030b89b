/**
 * The queue of runs: graphile-worker on the same Postgres. A job is only a wake-up call for a row of `runs`, which
 * alone says what is to be done and by whom; so a job that is lost, doubled or late does no harm.
 */

import { not, notInArray, type SQL, sql } from 'drizzle-orm';
import { Logger as QueueLogger, runMigrations, type SharedOptions } from 'graphile-worker';
import type { Pool } from 'pg';
import type { Executor } from '../db/client.ts';
import { AWAITING } from '../db/queries/grokking.ts';
import { DEADLY, type Run, releaseRun } from '../db/queries/runs.ts';
import { runs } from '../db/tables/index.ts';
import { PARENT_KINDS } from '../engine/contract/runs.ts';
import type { Logger } from '../log.ts';

export const RUN_TASK = 'run';
/**
 * The queue's schema is the whole database's: installations in other schemas than `public` have tasks of their own.
 * Jobs are due since long ago rather than from now on, for a clock may be set back.
 */
const TASK_NAME = sql`(${sql.raw(`'${RUN_TASK}'`)} || case current_schema() when 'public' then '' else ':' || current_schema() end)`;
const DUE = sql`run_at => '2000-01-01'::timestamptz`;
/** The queue takes the lowest number first, and of equals the one that has waited for longest. */
const placeOf = (runId: SQL) => sql`priority => -(select priority from ${runs} where id = ${runId})::int`;

export interface RunTask {
  runId: string;
}

/** The queue's key of a run; a run has at most one job. */
function runJobKey(runId: string): string {
  return `${RUN_TASK}:${runId}`;
}

/** Creates or updates the queue's own tables; needed before the first `enqueueRun`. */
export async function prepareQueue(pool: Pool, log: Logger): Promise<void> {
  await runMigrations(queueOptions(pool, log));
}

/**
 * Tells the workers, when the transaction commits, that a run waits. A job that the run has already is renewed, or,
 * if it is being worked on, followed by another.
 */
export async function enqueueRun(tx: Executor, runId: string): Promise<void> {
  const task: RunTask = { runId };
  await tx.execute(
    sql`select graphile_worker.add_job(${TASK_NAME}, ${JSON.stringify(task)}::json, job_key => ${runJobKey(runId)}, ${placeOf(sql`${runId}::uuid`)}, ${DUE})`,
  );
}

/** The same for runs that are new, at once; they are taken up in this order. */
export async function enqueueNewRuns(tx: Executor, runIds: readonly string[]): Promise<void> {
  await tx.execute(sql`
    select graphile_worker.add_job(${TASK_NAME}, json_build_object('runId', id), job_key => ${RUN_TASK} || ':' || id,
      ${placeOf(sql`new.id::uuid`)}, ${DUE})
    from unnest(${sql.param(runIds)}::text[]) with ordinality as new (id, place) order by place`);
}

/** Puts a claimed run back into the queue, for another worker; does nothing if the claim no longer holds. */
export function giveBack(db: Executor, { id, attempt }: Run): Promise<void> {
  return db.transaction(async (tx) => {
    if (await releaseRun(tx, { runId: id, attempt })) await enqueueRun(tx, id);
  });
}

/** `enqueueRun` for a run whose worker died, from whose hands its job is taken. */
export async function enqueueAgain(tx: Executor, runId: string): Promise<void> {
  await tx.execute(sql`
    select graphile_worker.force_unlock_workers(array_agg(locked_by))
    from graphile_worker.jobs where key = ${runJobKey(runId)} and locked_by is not null`);
  await enqueueRun(tx, runId);
}

/** Moves those of these runs that wait in the queue to where their priority puts them. */
export async function moveInQueue(tx: Executor, runIds: readonly string[]): Promise<void> {
  const { rows } = await tx.execute<{ id: string }>(sql`
    select substr(key, length(${RUN_TASK}) + 2) as id from graphile_worker.jobs
    where locked_at is null and key = any(${sql.param(runIds.map(runJobKey))}::text[]) order by jobs.id`);
  await enqueueNewRuns(
    tx,
    rows.map(({ id }) => id),
  );
}

/** Takes a run's job away, so that no worker wakes up for it. */
export async function dequeueRun(tx: Executor, runId: string): Promise<void> {
  await tx.execute(sql`select graphile_worker.remove_job(${runJobKey(runId)})`);
}

/** The name under which this installation's workers take runs. */
export async function readTaskName(db: Executor): Promise<string> {
  const { rows } = await db.execute<{ name: string }>(sql`select ${TASK_NAME} as name`);
  return rows[0]!.name;
}

/** A run that waits though no job wakes a worker up for it. */
export interface WaitingRun {
  id: string;
  /** Who holds its job, as text that changes when another does; null where there is no job that anyone could take. */
  heldBy: string | null;
}

/**
 * Runs that wait though no job will wake a worker up for them, because it was lost; and those whose job a worker holds:
 * where it has held it for long without claiming the run, it has died.
 */
export async function listUnattendedRuns(db: Executor): Promise<WaitingRun[]> {
  const { rows } = await db.execute<{ id: string; heldBy: string | null }>(sql`
    select r.id, j.locked_by || ' ' || j.locked_at as "heldBy"
    from ${runs} r left join graphile_worker.jobs j
      on j.key = ${RUN_TASK} || ':' || r.id and j.attempts < j.max_attempts
        -- What is put off for longer, by failures or a clock set back, is taken up at once.
        and j.run_at <= now() + interval '1 min'
    where r.id in (
      select id from ${runs}
      where status = 'QUEUED' and ${notInArray(runs.kind, [...PARENT_KINDS])} and ${not(AWAITING)} and ${not(DEADLY)}
    ) and (j.id is null or j.locked_at is not null)`);
  return rows;
}

/** What every part of graphile-worker is started with. */
export function queueOptions(pool: Pool, log: Logger): SharedOptions {
  return { pgPool: pool, logger: queueLogger(log) };
}

const LEVELS = { error: 'error', warning: 'warn', info: 'debug', debug: 'trace' } as const;

function queueLogger(log: Logger): QueueLogger {
  return new QueueLogger((scope) => (level, message) => log[LEVELS[level]]({ queue: scope }, message));
}
