/**
 * A run of parts follows them: its status and progress change in the transaction that changes a part. A part's row is
 * always locked before its parent's, so parts that end at once wait for each other and none waits in a circle.
 */
import { and, asc, eq, sql } from 'drizzle-orm';
import type { Executor } from '../client.ts';
import { FINAL_STATUSES, type RunStatus, runs } from '../tables/index.ts';
import { appendParts, appendStatus } from './events.ts';
import { releasePoints } from './grokking.ts';
import type { Run } from './runChange.ts';

/** While parts work, the parent is told of every hundredth that the whole has come further. */
const PROGRESS_STEP = 0.01;

/** What the parts of a run have come to. */
interface Standing {
  total: number;
  running: number;
  /** Training that a grokking run needs is no success by itself. */
  succeeded: number;
  failed: number;
  ended: number;
  /** Mean over the parts; one that has ended is done. */
  progress: number;
  /** How the training of a grokking run stands; null where there is none. */
  training: RunStatus | null;
}

/**
 * Brings the parents of these runs, which the transaction has changed, up to date: a `PART` event for each that has
 * ended, then the parent's own status.
 */
export async function followParts(
  tx: Executor,
  changed: readonly Run[],
  what: 'STATUS' | 'PROGRESS',
): Promise<void> {
  const parentIds = new Set(changed.flatMap(({ parentId }) => parentId ?? []));
  for (const parentId of [...parentIds].sort()) {
    if (what === 'PROGRESS' && !(await hasMoved(tx, parentId))) continue;
    const ended = changed.filter((run) => run.parentId === parentId && FINAL_STATUSES.includes(run.status));
    await follow(
      tx,
      parentId,
      ended.map(({ id }) => id),
    );
  }
}

/** Without a lock: most reports of progress change nothing for the parent. */
async function hasMoved(tx: Executor, parentId: string): Promise<boolean> {
  const [parent] = await tx.select({ progress: runs.progress }).from(runs).where(eq(runs.id, parentId));
  const { progress } = await readStanding(tx, parentId);
  return Math.abs(progress - parent!.progress) >= PROGRESS_STEP;
}

async function follow(tx: Executor, parentId: string, endedIds: readonly string[]): Promise<void> {
  const [parent] = await tx.select().from(runs).where(eq(runs.id, parentId)).for('no key update');
  if (FINAL_STATUSES.includes(parent!.status)) return;
  await appendParts(tx, parentId, parent!.lastSeq + 1, endedIds);
  let lastSeq = parent!.lastSeq + endedIds.length;
  if (parent!.kind === 'GROKKING' && endedIds.length > 0) lastSeq = await releasePoints(tx, parent!, lastSeq);
  // Read behind the lock: every other part that has changed has committed.
  const standing = await readStanding(tx, parentId);
  const status = statusOf(standing, parent!.status);
  const moved = Math.abs(standing.progress - parent!.progress) >= PROGRESS_STEP;
  if (endedIds.length === 0 && status === parent!.status && !moved) return;
  const [updated] = await tx
    .update(runs)
    .set({
      ...(FINAL_STATUSES.includes(status)
        ? await endingOf(tx, parentId, status, standing)
        : working(standing)),
      status,
      progress: standing.progress,
      startedAt: sql`coalesce(${runs.startedAt}, now())`,
      lastSeq: lastSeq + 1,
    })
    .where(eq(runs.id, parentId))
    .returning();
  await appendStatus(tx, updated!);
}

async function readStanding(tx: Executor, parentId: string): Promise<Standing> {
  const having = (status: RunStatus) => sql`count(*) filter (where status = ${status})::int`;
  const { rows } = await tx.execute<Standing & Record<string, unknown>>(sql`
    select count(*)::int as total, ${having('RUNNING')} as running, ${having('FAILED')} as failed,
      count(*) filter (where status = 'SUCCEEDED' and kind <> 'MODEL')::int as succeeded,
      max(status) filter (where kind = 'MODEL') as training, count(finished_at)::int as ended,
      avg(case when finished_at is null then progress else 1 end)::float8 as progress
    from ${runs} where parent_id = ${parentId}`);
  return rows[0]!;
}

/** Once it has begun, a run of parts goes on until all have ended; it has failed if its training did, or all else. */
function statusOf(
  { total, running, succeeded, failed, ended, training }: Standing,
  before: RunStatus,
): RunStatus {
  if (ended < total) return running + ended > 0 ? 'RUNNING' : before;
  if (training === 'FAILED' || training === 'CANCELLED') return training;
  if (succeeded > 0) return 'SUCCEEDED';
  return failed > 0 ? 'FAILED' : 'CANCELLED';
}

function working({ progress }: Standing) {
  const elapsed = sql`extract(epoch from now() - ${runs.startedAt})`;
  return {
    phase: 'PARTS' as const,
    etaSeconds: progress > 0 ? sql`${elapsed} * ${(1 - progress) / progress}::float8` : null,
  };
}

async function endingOf(tx: Executor, parentId: string, status: RunStatus, standing: Standing) {
  const { total, failed, training } = standing;
  const ending = { etaSeconds: null, finishedAt: sql`now()` };
  if (status === 'SUCCEEDED') return { ...ending, phase: 'DONE' as const };
  if (status === 'CANCELLED') return ending;
  const [first] = await tx
    .select({ code: runs.errorCode, message: runs.errorMessage })
    .from(runs)
    .where(and(eq(runs.parentId, parentId), eq(runs.status, 'FAILED')))
    .orderBy(asc(runs.createdAt), asc(runs.id))
    .limit(1);
  if (training === 'FAILED')
    return { ...ending, errorCode: first!.code, errorMessage: `its training failed: ${first!.message}` };
  const errorMessage = `${failed} of ${total} parts failed and none succeeded; the first: ${first!.message}`;
  return { ...ending, errorCode: first!.code, errorMessage };
}
