/** For whom runs wait, and how urgently. */
import { and, count, eq, inArray, isNull, notInArray, or, sql } from 'drizzle-orm';
import { PARENT_KINDS } from '../../engine/contract/runs.ts';
import type { Executor } from '../client.ts';
import { runs } from '../tables/index.ts';
import { lockRuns, type Run, UNFINISHED } from './runChange.ts';

export interface Order {
  /** Of the key by which it is started; null where there is none. */
  apiKeyId: string | null;
  priority: number;
  /** The run that is tried again, or changed. */
  copyOfId?: string;
}

/** Notes on a new run and its parts who started it, and how urgent it is. */
export async function noteOrder(
  tx: Executor,
  runId: string,
  { copyOfId, ...order }: Order,
): Promise<string[]> {
  const rows = await tx
    .update(runs)
    .set(order)
    .where(or(eq(runs.id, runId), eq(runs.parentId, runId)))
    .returning({ id: runs.id });
  if (copyOfId !== undefined) await tx.update(runs).set({ copyOfId }).where(eq(runs.id, runId));
  return rows.map(({ id }) => id);
}

/**
 * How many runs that were started by this key (null: without one) wait, its own new ones included; runs that follow
 * their parts do not count beside these. Until the transaction ends, nobody else counts those of the same key.
 */
export async function countQueuedBy(tx: Executor, apiKeyId: string | null): Promise<number> {
  await tx.execute(
    sql`select pg_advisory_xact_lock(hashtextextended('queued by ' || ${apiKeyId ?? 'nobody'}, 0))`,
  );
  const [row] = await tx
    .select({ n: count() })
    .from(runs)
    .where(
      and(
        apiKeyId === null ? isNull(runs.apiKeyId) : eq(runs.apiKeyId, apiKeyId),
        eq(runs.status, 'QUEUED'),
        notInArray(runs.kind, [...PARENT_KINDS]),
      ),
    );
  return row!.n;
}

/** Changes how urgent a run and its parts are; null if it has ended. Moving them in the queue is the caller's part. */
export async function changePriority(
  tx: Executor,
  id: string,
  priority: number,
): Promise<{ run: Run; ids: string[] } | null> {
  // Parts before their parent, as everyone locks them.
  const parts = await lockRuns(tx, and(eq(runs.parentId, id), UNFINISHED));
  const own = await lockRuns(tx, and(eq(runs.id, id), UNFINISHED));
  if (own.length === 0) return null;
  const ids = [...parts, ...own];
  const changed = await tx.update(runs).set({ priority }).where(inArray(runs.id, ids)).returning();
  return { run: changed.find((run) => run.id === id)!, ids };
}
