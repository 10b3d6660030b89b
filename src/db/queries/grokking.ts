/** Points of grokking runs: stored as they are measured, told of in the order of training, ended by the stop rule. */
import { and, asc, eq, gt, isNull, lt, type SQL, sql } from 'drizzle-orm';
import type { StopRule } from '../../engine/contract/grokkingSettings.ts';
import type { Executor } from '../client.ts';
import {
  grokkingBindings,
  grokkingLastBindings,
  grokkingPoints,
  modelCheckpoints,
  models,
  runEvents,
  runs,
} from '../tables/index.ts';
import { appendParts } from './events.ts';
import { changeRuns, endRuns, lockRuns, type Run, tellWorkers, UNFINISHED } from './runChange.ts';
import { settingsOf } from './runOf.ts';

/** An analysis whose model training has not come to yet: no worker can take it. */
export const AWAITING = and(eq(runs.kind, 'CHECKPOINT_ANALYSIS'), isNull(runs.modelId))!;

/**
 * Locks the parts of the grokking runs to which the runs that fit belong: what ends one of them may end others, and
 * all are locked in one order.
 */
export async function lockSiblings(tx: Executor, where: SQL | undefined): Promise<void> {
  const rows = await tx.selectDistinct({ parentId: runs.parentId }).from(runs).where(where);
  for (const { parentId } of rows) {
    if (parentId === null) continue;
    const [parent] = await tx.select({ kind: runs.kind }).from(runs).where(eq(runs.id, parentId));
    if (parent?.kind === 'GROKKING') await lockRuns(tx, and(eq(runs.parentId, parentId), UNFINISHED));
  }
}

/** Cancels what waits for checkpoints of trainings that have ended; returns those analyses. */
export async function cancelAwaiting(tx: Executor, ended: readonly Run[]): Promise<Run[]> {
  const cancelled: Run[] = [];
  for (const { kind, parentId } of ended) {
    if (kind !== 'MODEL' || parentId === null) continue;
    const where = and(eq(runs.parentId, parentId), eq(runs.status, 'QUEUED'), AWAITING);
    cancelled.push(...(await endRuns(tx, where, { status: 'CANCELLED' })));
  }
  return cancelled;
}

/** Gives the analysis of this step its model; its id, to be put into the queue, or null if it has ended. */
export async function giveModel(
  tx: Executor,
  parentId: string,
  step: number,
  modelId: string,
): Promise<string | null> {
  const where = and(eq(runs.parentId, parentId), eq(runs.step, step), eq(runs.status, 'QUEUED'), AWAITING);
  const [analysis] = await changeRuns(tx, where, { modelId, phase: 'QUEUED' });
  return analysis?.id ?? null;
}

/** Whether the analysis of an earlier step than this still waits for a worker. */
export async function isBehind(db: Executor, parentId: string, step: number): Promise<boolean> {
  const { rows } = await db.execute(sql`
    select from ${runs} where parent_id = ${parentId} and kind = 'CHECKPOINT_ANALYSIS' and status = 'QUEUED'
      and model_id is not null and step < ${step} limit 1`);
  return rows.length > 0;
}

/**
 * Tells of the points whose turn has come: those before which every analysis has ended. Where the stop rule is met it
 * ends the training there, and the analyses behind. Call it behind the parent's lock and those of `lockSiblings`.
 * Returns the number of the parent's newest event.
 */
export async function releasePoints(tx: Executor, parent: Run, lastSeq: number): Promise<number> {
  const { stop } = settingsOf(parent, 'GROKKING');
  let seq = lastSeq;
  let inARow = 0;
  for (const point of await readTurns(tx, parent.id)) {
    if (!point.ended) return seq;
    if (point.heldOutAccuracy === null) continue;
    if (point.seq === null) await appendPoint(tx, parent.id, point.step, ++seq);
    inARow = stop && reaches(point, stop) ? inARow + 1 : 0;
    if (stop && inARow === stop.checkpoints) return stopAt(tx, parent, point.step, seq);
  }
  return seq;
}

interface Turn {
  step: number;
  ended: boolean;
  seq: string | null;
  /** Null where nothing was measured. */
  heldOutAccuracy: number | null;
  diagonalStrength: number | null;
}

async function readTurns(tx: Executor, parentId: string): Promise<Turn[]> {
  const { rows } = await tx.execute<Turn & Record<string, unknown>>(sql`
    select r.step, r.finished_at is not null as ended, p.seq,
      p.held_out_correct / greatest(p.held_out_questions, 1)::float8 as "heldOutAccuracy",
      (select min(b.diagonal_strength) from ${grokkingBindings} b
        where b.run_id = r.parent_id and b.step = r.step) as "diagonalStrength"
    from ${runs} r left join ${grokkingPoints} p on p.run_id = r.parent_id and p.step = r.step
    where r.parent_id = ${parentId} and r.kind = 'CHECKPOINT_ANALYSIS' order by r.step`);
  return rows;
}

/** The weaker hop counts: both must be bound. */
function reaches({ heldOutAccuracy, diagonalStrength }: Turn, { measure, threshold }: StopRule): boolean {
  const value = measure === 'HELD_OUT_ACCURACY' ? heldOutAccuracy : diagonalStrength;
  return value !== null && value >= threshold;
}

async function appendPoint(tx: Executor, runId: string, step: number, seq: number): Promise<void> {
  const [point] = await tx
    .update(grokkingPoints)
    .set({ seq })
    .where(and(eq(grokkingPoints.runId, runId), eq(grokkingPoints.step, step)))
    .returning({ at: grokkingPoints.at });
  await tx.insert(runEvents).values({ runId, seq, at: point!.at, type: 'POINT', payload: { step } });
}

async function stopAt(tx: Executor, parent: Run, step: number, lastSeq: number): Promise<number> {
  const parts = and(eq(runs.parentId, parent.id), UNFINISHED);
  const ended = await endRuns(tx, and(parts, eq(runs.kind, 'CHECKPOINT_ANALYSIS'), gt(runs.step, step)), {
    status: 'CANCELLED',
  });
  // Even one that has come to its end: how fast the analyses follow must make no difference.
  const training = await lockRuns(tx, and(eq(runs.parentId, parent.id), eq(runs.kind, 'MODEL')));
  if (training[0]) ended.push(...(await endTraining(tx, training[0], step)));
  await tellWorkers(tx, ended);
  await tx
    .update(runs)
    .set({ result: { stoppedAt: step } })
    .where(eq(runs.id, parent.id));
  await appendParts(
    tx,
    parent.id,
    lastSeq + 1,
    ended.map(({ id }) => id),
  );
  return lastSeq + ended.length;
}

/** What the training has made is the model as it was at that step. */
async function endTraining(tx: Executor, runId: string, step: number): Promise<Run[]> {
  const [kept] = await tx
    .select({ modelId: models.id, artifactHash: models.artifactHash })
    .from(modelCheckpoints)
    .innerJoin(models, eq(models.id, modelCheckpoints.modelId))
    .where(and(eq(modelCheckpoints.runId, runId), eq(modelCheckpoints.step, step)));
  const ending = { status: 'SUCCEEDED', phase: 'DONE', progress: 1, result: { stoppedAt: step } } as const;
  const ended = await endRuns(tx, and(eq(runs.id, runId), UNFINISHED), { ...ending, ...kept });
  if (ended.length === 0)
    await tx
      .update(runs)
      .set({ ...kept, result: ending.result })
      .where(and(eq(runs.id, runId), eq(runs.status, 'SUCCEEDED')));
  return ended;
}

/** Stores what was measured of a checkpoint; the end of its analysis tells of it in its turn. */
export async function storePoint(
  tx: Executor,
  run: Pick<Run, 'parentId' | 'step'>,
  point: Omit<typeof grokkingPoints.$inferInsert, 'runId' | 'step' | 'seq'>,
  hops: readonly Omit<typeof grokkingBindings.$inferInsert, 'runId' | 'step'>[],
): Promise<void> {
  const of = { runId: run.parentId!, step: run.step! };
  await tx.insert(grokkingPoints).values({ ...point, ...of });
  await tx.insert(grokkingBindings).values(hops.map((hop) => ({ ...hop, ...of })));
}

/** Stores how the last checkpoint's SAEs read all of a grokking run's models. */
export async function storeLastBindings(
  tx: Executor,
  runId: string,
  hops: readonly Omit<typeof grokkingLastBindings.$inferInsert, 'runId'>[],
): Promise<void> {
  if (hops.length > 0) await tx.insert(grokkingLastBindings).values(hops.map((hop) => ({ ...hop, runId })));
}

/** The models of a grokking run's earlier checkpoints, ascending. */
export async function listEarlier(
  db: Executor,
  parentId: string,
  step: number,
): Promise<{ step: number; modelId: string }[]> {
  const rows = await db
    .select({ step: runs.step, modelId: runs.modelId })
    .from(runs)
    .where(and(eq(runs.parentId, parentId), eq(runs.kind, 'CHECKPOINT_ANALYSIS'), lt(runs.step, step)))
    .orderBy(asc(runs.step));
  return rows.map((row) => ({ step: row.step!, modelId: row.modelId! }));
}

/** Steps at which a training run has kept its model, with the models, ascending. */
export function listModelCheckpoints(
  db: Executor,
  runId: string,
): Promise<{ step: number; modelId: string }[]> {
  return db
    .select({ step: modelCheckpoints.step, modelId: modelCheckpoints.modelId })
    .from(modelCheckpoints)
    .where(eq(modelCheckpoints.runId, runId))
    .orderBy(asc(modelCheckpoints.step));
}
