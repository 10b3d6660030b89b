/**
 * The queue of runs: graphile-worker on the same Postgres. A job is only a wake-up call for a row of `runs`, which
 * alone says what is to be done and by whom; so a job that is lost, doubled or late does no harm.
 */

import { not, notInArray, sql } from 'drizzle-orm';
import { Logger as QueueLogger, runMigrations, type SharedOptions } from 'graphile-worker';
import type { Pool } from 'pg';
import type { Executor } from '../db/client.ts';
import { AWAITING } from '../db/queries/grokking.ts';
import { type Run, releaseRun } from '../db/queries/runs.ts';
import { runs } from '../db/tables/index.ts';
import { PARENT_KINDS } from '../engine/contract/runs.ts';
import type { Logger } from '../log.ts';

export const RUN_TASK = 'run';
/** A worker that took a job and has not claimed its run after this long is dead. */
const CLAIM_MS = 10_000;

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
    sql`select graphile_worker.add_job(${RUN_TASK}, ${JSON.stringify(task)}::json, job_key => ${runJobKey(runId)})`,
  );
}

/** The same for runs that are new, at once; they are taken up in this order. */
export async function enqueueNewRuns(tx: Executor, runIds: readonly string[]): Promise<void> {
  await tx.execute(sql`
    select graphile_worker.add_job(${RUN_TASK}, json_build_object('runId', id), job_key => ${RUN_TASK} || ':' || id)
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

/** Takes a run's job away, so that no worker wakes up for it. */
export async function dequeueRun(tx: Executor, runId: string): Promise<void> {
  await tx.execute(sql`select graphile_worker.remove_job(${runJobKey(runId)})`);
}

/**
 * Runs that wait though no job will wake a worker up for them: it was lost, or a worker took it and died before it
 * claimed the run.
 */
export async function findForgottenRuns(db: Executor): Promise<string[]> {
  const { rows } = await db.execute<{ id: string }>(sql`
    select id from ${runs}
    where status = 'QUEUED' and ${notInArray(runs.kind, [...PARENT_KINDS])} and ${not(AWAITING)} and not exists (
      select from graphile_worker.jobs j
      where j.key = ${RUN_TASK} || ':' || ${runs.id} and j.attempts < j.max_attempts
        and (j.locked_at is null or j.locked_at > now() - ${CLAIM_MS} * interval '1 ms'))`);
  return rows.map(({ id }) => id);
}

/** What every part of graphile-worker is started with. */
export function queueOptions(pool: Pool, log: Logger): SharedOptions {
  return { pgPool: pool, logger: queueLogger(log) };
}

const LEVELS = { error: 'error', warning: 'warn', info: 'debug', debug: 'trace' } as const;

function queueLogger(log: Logger): QueueLogger {
  return new QueueLogger((scope) => (level, message) => log[LEVELS[level]]({ queue: scope }, message));
}
