/** Stores what a job hands over: models along the way, and its result with the end of its run. */
import { and, eq } from 'drizzle-orm';
import type { ArtifactStore } from '../db/artifactStore.ts';
import type { Db, Executor } from '../db/client.ts';
import { storeArtifact } from '../db/queries/artifacts.ts';
import { type Claim, lockRun } from '../db/queries/events.ts';
import { giveModel, isBehind } from '../db/queries/grokking.ts';
import type { RunOf } from '../db/queries/runOf.ts';
import { finishRun, type Run } from '../db/queries/runs.ts';
import { modelCheckpoints } from '../db/tables/index.ts';
import type { ModelSnapshot } from '../engine/contract/model.ts';
import type { EngineJobs, EngineRunKind } from '../engine/contract/runs.ts';
import * as runs from '../runs/index.ts';
import { insertModel } from '../runs/model.ts';
import { enqueueRun } from './queue.ts';
import { RunLost } from './writer.ts';

/** Takes the weights into the store, writes the rows and ends the run. @throws RunLost if the claim is void. */
export async function storeResult<K extends EngineRunKind>(
  db: Db,
  store: ArtifactStore,
  run: RunOf<K>,
  result: EngineJobs[K]['result'],
): Promise<void> {
  const claim: Claim = { runId: run.id, attempt: run.attempt };
  await db.transaction(async (tx) => {
    const outcome = await runs.storeResult(tx, store, run, result);
    if (!(await finishRun(tx, claim, outcome))) throw new RunLost(claim);
  });
}

/**
 * Makes a snapshot a model of its own and queues its analysis, if the training is part of a grokking run; one that is
 * stored already stays. True when the analyses are behind: training should then make way for them.
 * @throws RunLost if the claim is void.
 */
export async function storeSnapshot(
  db: Db,
  store: ArtifactStore,
  run: Run,
  { step, weights, ...made }: ModelSnapshot,
): Promise<boolean> {
  const claim: Claim = { runId: run.id, attempt: run.attempt };
  await db.transaction(async (tx) => {
    if ((await lockRun(tx, claim)) === null) throw new RunLost(claim);
    if (await isStored(tx, run.id, step)) return;
    const artifactHash = await storeArtifact(tx, store, weights, 'MODEL');
    const modelId = await insertModel(tx, run, { ...made, accuracy: {}, artifactHash, step });
    await tx.insert(modelCheckpoints).values({ runId: run.id, step, modelId });
    const analysisId = run.parentId && (await giveModel(tx, run.parentId, step, modelId));
    if (analysisId) await enqueueRun(tx, analysisId);
  });
  return run.parentId !== null && isBehind(db, run.parentId, step);
}

async function isStored(tx: Executor, runId: string, step: number): Promise<boolean> {
  const [stored] = await tx
    .select({ step: modelCheckpoints.step })
    .from(modelCheckpoints)
    .where(and(eq(modelCheckpoints.runId, runId), eq(modelCheckpoints.step, step)));
  return stored !== undefined;
}
