/** Worker processes, and how others learn that one has died. */
import { and, eq, inArray, isNull, sql } from 'drizzle-orm';
import type { Executor } from '../client.ts';
import { workers } from '../tables/index.ts';
import { type Run, requeueRunsOf } from './runs.ts';

/**
 * First key of the session advisory locks that workers hold; the second is the worker's `lockKey`. Locks are the whole
 * database's, so installations in other schemas than `public` have keys of their own.
 */
export const WORKER_LOCKS = sql`case current_schema() when 'public' then 7021803 else hashtext(current_schema()) end`;

/** Takes a worker's lock, for as long as the session lives; waits while another session has it. */
export async function lockWorker(session: Executor, lockKey: number): Promise<void> {
  await session.execute(sql`select pg_advisory_lock(${WORKER_LOCKS}, ${lockKey})`);
}

export type Worker = typeof workers.$inferSelect;
export type NewWorker = Pick<
  Worker,
  'id' | 'hostname' | 'pid' | 'backend' | 'tensorflowVersion' | 'devices' | 'fallbackReason' | 'products'
>;

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

/** What a worker shows of its life. */
export interface WorkerSign {
  id: string;
  /** Whether its session lives. */
  locked: boolean;
  /** Changes with every heartbeat; not to be compared with any clock. */
  lastSeen: string;
}

/** The signs of all workers that have not ended, and which Postgres tells of them. */
export async function readSigns(
  db: Executor,
): Promise<{ postmaster: string; postmasterAgeMs: number; signs: WorkerSign[] }> {
  const { rows } = await db.execute<{ postmaster: string; age: number; signs: WorkerSign[] }>(sql`
    select pg_postmaster_start_time()::text as postmaster,
      extract(epoch from clock_timestamp() - pg_postmaster_start_time())::float8 * 1000 as age,
      coalesce((
        select json_agg(json_build_object('id', w.id, 'lastSeen', w.last_seen_at::text, 'locked', exists (
          select from pg_locks l join pg_database d on d.oid = l.database
          where l.locktype = 'advisory' and l.granted and d.datname = current_database()
            and l.classid::int8 = (${WORKER_LOCKS})::int8 & 4294967295
            and l.objid::int8 = w.lock_key and l.objsubid = 2
        )) order by w.started_at, w.id)
        from ${workers} w where w.ended_at is null), '[]') as signs`);
  const { postmaster, age, signs } = rows[0]!;
  return { postmaster, postmasterAgeMs: age, signs };
}

/** Marks workers as ended, in order, and puts their runs back into the queue; returns those runs. */
export function endWorkers(db: Executor, ids: readonly string[]): Promise<Run[]> {
  return db.transaction(async (tx) => requeueRunsOf(tx, await markEnded(tx, ids)));
}

/** The same for workers that died, which their runs remember. */
export function buryWorkers(db: Executor, ids: readonly string[]): Promise<Run[]> {
  return db.transaction(async (tx) => requeueRunsOf(tx, await markEnded(tx, ids), { died: true }));
}

/** Only those that this call ends: another process may bury the same ones. */
async function markEnded(tx: Executor, ids: readonly string[]): Promise<string[]> {
  const ended = await tx
    .update(workers)
    .set({ endedAt: sql`now()` })
    .where(and(inArray(workers.id, [...ids]), isNull(workers.endedAt)))
    .returning({ id: workers.id });
  return ended.map((row) => row.id);
}
