/** The one way in which rows of `runs` change: with a numbered event, in the transaction that changes them. */
import { asc, inArray, type SQL, sql } from 'drizzle-orm';
import type { Executor } from '../client.ts';
import { checkpoints, runs } from '../tables/index.ts';
import { appendStatus, notify } from './events.ts';

/** `NOTIFY` payloads of this channel are `<run id>:cancel`. */
export const RUN_CONTROL_CHANNEL = 'run_control';

export type Run = typeof runs.$inferSelect;
export type Patch = { [K in keyof Run]?: Run[K] | SQL };

export const UNFINISHED = inArray(runs.status, ['QUEUED', 'RUNNING']);

/**
 * Locks the runs that fit and returns their ids. Whoever changes several takes them in one order, and a parent after
 * its parts, so that nobody waits in a circle.
 */
export async function lockRuns(tx: Executor, where: SQL | undefined): Promise<string[]> {
  const rows = await tx
    .select({ id: runs.id })
    .from(runs)
    .where(where)
    .orderBy(asc(runs.id))
    .for('no key update');
  return rows.map((row) => row.id);
}

/** Changes runs and tells of it; bringing their parents up to date is the caller's part. */
export async function changeRuns(tx: Executor, where: SQL | undefined, patch: Patch): Promise<Run[]> {
  const changed = await tx
    .update(runs)
    .set({ ...patch, lastSeq: sql`${runs.lastSeq} + 1` })
    .where(where)
    .returning();
  for (const run of changed) await appendStatus(tx, run);
  return changed;
}

/** The same for their end. A run that has ended needs no checkpoint; its file is collected by the next sweep. */
export async function endRuns(tx: Executor, where: SQL | undefined, patch: Patch): Promise<Run[]> {
  const changed = await changeRuns(tx, where, { ...patch, etaSeconds: null, finishedAt: sql`now()` });
  const ids = changed.map((run) => run.id);
  if (ids.length > 0) await tx.delete(checkpoints).where(inArray(checkpoints.runId, ids));
  return changed;
}

/** Tells the workers to let go of these runs. */
export async function tellWorkers(tx: Executor, ended: readonly Run[]): Promise<void> {
  for (const { id } of ended) await notify(tx, RUN_CONTROL_CHANNEL, `${id}:cancel`);
}
