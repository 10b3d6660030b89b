/** Worker processes, and how others learn that one has died. */
import { and, eq, inArray, isNull, sql } from 'drizzle-orm';
import type { Executor } from '../client.ts';
import { workers } from '../tables/index.ts';
import { type Run, requeueRunsOf } from './runs.ts';

/** First key of the session advisory locks that workers hold; the second is the worker's `lockKey`. */
export const WORKER_LOCKS = 7_021_803;

export type Worker = typeof workers.$inferSelect;
export type NewWorker = Pick<
  Worker,
  'id' | 'hostname' | 'pid' | 'backend' | 'tensorflowVersion' | 'devices' | 'fallbackReason'
>;

/** When a worker counts as dead. */
export interface Patience {
  /** After its lock became free; long enough for it to come back from a lost connection. */
  unlockedMs: number;
  /** After its last heartbeat though its lock is held: it hangs, or its host vanished. */
  silentMs: number;
}

/** Stores the worker; the returned `lockKey` is what its presence has to hold. */
export async function registerWorker(db: Executor, worker: NewWorker): Promise<Worker> {
  const [stored] = await db.insert(workers).values(worker).returning();
  return stored!;
}

/** Says that the worker lives; false if it has been declared dead, and its runs given away. */
export async function heartbeat(db: Executor, id: string): Promise<boolean> {
  const alive = await db
    .update(workers)
    .set({ lastSeenAt: sql`now()` })
    .where(and(eq(workers.id, id), isNull(workers.endedAt)))
    .returning({ id: workers.id });
  return alive.length > 0;
}

/** Workers that have not ended, oldest first. */
export function listWorkers(db: Executor): Promise<Worker[]> {
  return db.select().from(workers).where(isNull(workers.endedAt)).orderBy(workers.startedAt, workers.id);
}

/** Workers that died without a word. None is, until Postgres has run long enough for them to have come back. */
export async function findDeadWorkers(db: Executor, patience: Patience): Promise<string[]> {
  const ago = (ms: number) => sql`now() - ${ms} * interval '1 ms'`;
  const dead = await db
    .select({ id: workers.id })
    .from(workers)
    .where(
      sql`${workers.endedAt} is null and pg_postmaster_start_time() < ${ago(patience.unlockedMs)} and (
        ${workers.lastSeenAt} < ${ago(patience.silentMs)}
        or ${workers.lastSeenAt} < ${ago(patience.unlockedMs)} and not exists (
          select from pg_locks l join pg_database d on d.oid = l.database
          where l.locktype = 'advisory' and l.granted and d.datname = current_database()
            and l.classid = ${WORKER_LOCKS} and l.objid::int8 = ${workers.lockKey} and l.objsubid = 2
        ))`,
    );
  return dead.map((row) => row.id);
}

/** Marks workers as ended and puts their runs back into the queue; returns those runs. */
export function endWorkers(db: Executor, ids: readonly string[]): Promise<Run[]> {
  return db.transaction(async (tx) => {
    // Only those that this call ends: another process may bury the same ones.
    const ended = await tx
      .update(workers)
      .set({ endedAt: sql`now()` })
      .where(and(inArray(workers.id, [...ids]), isNull(workers.endedAt)))
      .returning({ id: workers.id });
    return requeueRunsOf(
      tx,
      ended.map((row) => row.id),
    );
  });
}
