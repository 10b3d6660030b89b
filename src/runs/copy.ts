/** A run once more, exactly as it was: the same kind, settings and seed, on the same model and data. */
import { asc, eq } from 'drizzle-orm';
import type { Executor } from '../db/client.ts';
import { type NewRun, type Run, readRun } from '../db/queries/runs.ts';
import { usedSaeOfRuns } from '../db/queries/saes.ts';
import { runs, usedSaes } from '../db/tables/index.ts';
import { completeSettings, PARENT_KINDS } from '../engine/contract/runs.ts';
import { AppError, invalidInput, notFound } from '../errors.ts';
import { CODE_VERSION } from '../version.ts';
import { queueParts, queueStored } from './start.ts';

/**
 * Queues a run that has FAILED or was CANCELLED again, as a new one; a run of parts with all of them, those that had
 * succeeded included.
 * @throws AppError NOT_FOUND; CONFLICT when it has not ended so; INVALID_INPUT for what is nothing by itself.
 */
export async function copyEndedRun(db: Executor, id: string): Promise<Run> {
  const run = await readRun(db, id);
  if (!run) throw notFound('Run', id);
  if (run.status === 'SUCCEEDED')
    throw new AppError('CONFLICT', `run ${id} has SUCCEEDED; to do it again, use cloneRun`);
  if (run.status !== 'FAILED' && run.status !== 'CANCELLED')
    throw new AppError(
      'CONFLICT',
      `run ${id} is ${run.status}; only what has FAILED or was CANCELLED can be tried again`,
    );
  refusePart(run);
  const [sae] = await usedSaeOfRuns(db, [run.id]);
  if (PARENT_KINDS.includes(run.kind)) return queueParts(db, asNew(run), await copyParts(db, run), sae?.id);
  const copy = await queueStored(db, asNew(run));
  if (sae) await db.insert(usedSaes).values({ runId: copy.id, saeId: sae.id });
  return copy;
}

/** @throws AppError INVALID_INPUT for a run that is nothing without the run that it is a part of. */
export function refusePart({ kind, parentId }: Run): void {
  if (kind !== 'CHECKPOINT_ANALYSIS') return;
  throw invalidInput(
    ['id'],
    `the run is the analysis of a checkpoint, which is nothing without its grokking run; give the id of that (${parentId})`,
  );
}

/** In the order in which they were queued. */
async function copyParts(db: Executor, parent: Run): Promise<NewRun[]> {
  const parts = await db
    .select()
    .from(runs)
    .where(eq(runs.parentId, parent.id))
    .orderBy(asc(runs.createdAt), asc(runs.id));
  const isTrained = parts.some(({ kind }) => kind === 'MODEL');
  return parts.map((part) =>
    part.kind === 'CHECKPOINT_ANALYSIS' && isTrained
      ? { ...asNew(part), modelId: null, phase: 'AWAITING_CHECKPOINT' }
      : asNew(part),
  );
}

function asNew(run: Run): NewRun {
  const { kind, seed, datasetId, datasetHash, initialModelId, step, corpusId } = run;
  const { alignmentRunId, baselineRunId, analysisRunId } = run;
  return {
    kind,
    settings: completeSettings(kind, run.settings),
    seed,
    datasetId,
    datasetHash,
    // What a training has is what it made.
    modelId: kind === 'MODEL' ? null : run.modelId,
    initialModelId,
    step,
    corpusId,
    alignmentRunId,
    baselineRunId,
    analysisRunId,
    codeVersion: CODE_VERSION,
  } as NewRun;
}
