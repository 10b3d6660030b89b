/** Stores the models that training hands over along the way. */
import { and, eq } from 'drizzle-orm';
import type { ArtifactStore } from '../db/artifactStore.ts';
import type { Db, Executor } from '../db/client.ts';
import { storeArtifact } from '../db/queries/artifacts.ts';
import { type Claim, lockRun } from '../db/queries/events.ts';
import { giveModel, isBehind } from '../db/queries/grokking.ts';
import type { Run } from '../db/queries/runs.ts';
import { datasets, modelCheckpoints, models } from '../db/tables/index.ts';
import type { ModelSnapshot } from '../engine/contract/model.ts';
import { enqueueRun } from './queue.ts';
import { RunLost } from './writer.ts';

/**
 * Makes a snapshot a model of its own and queues its analysis, if the training is part of a grokking run; one that is
 * stored already stays. True when the analyses are behind: training should then make way for them.
 * @throws RunLost if the claim is void.
 */
export async function storeSnapshot(
  db: Db,
  store: ArtifactStore,
  run: Run,
  snapshot: ModelSnapshot,
): Promise<boolean> {
  const claim: Claim = { runId: run.id, attempt: run.attempt };
  await db.transaction(async (tx) => {
    if ((await lockRun(tx, claim)) === null) throw new RunLost(claim);
    if (await isStored(tx, run.id, snapshot.step)) return;
    const modelId = await storeModel(tx, store, run, snapshot);
    await tx.insert(modelCheckpoints).values({ runId: run.id, step: snapshot.step, modelId });
    const analysisId = run.parentId && (await giveModel(tx, run.parentId, snapshot.step, modelId));
    if (analysisId) await enqueueRun(tx, analysisId);
  });
  return run.parentId !== null && isBehind(db, run.parentId, snapshot.step);
}

async function isStored(tx: Executor, runId: string, step: number): Promise<boolean> {
  const [stored] = await tx
    .select({ step: modelCheckpoints.step })
    .from(modelCheckpoints)
    .where(and(eq(modelCheckpoints.runId, runId), eq(modelCheckpoints.step, step)));
  return stored !== undefined;
}

async function storeModel(
  tx: Executor,
  store: ArtifactStore,
  run: Run,
  { step, weights, config, tokenizer, nParams }: ModelSnapshot,
): Promise<string> {
  const artifactHash = await storeArtifact(tx, store, weights, 'MODEL');
  const [dataset] = await tx.select().from(datasets).where(eq(datasets.id, run.datasetId));
  const name = `${dataset!.name}, ${config.nLayers} × ${config.dModel}, seed ${run.seed}, step ${step}`;
  const [model] = await tx
    .insert(models)
    .values({
      ...{ name, datasetId: run.datasetId, config: { ...config }, tokenizer, nParams },
      ...{ accuracy: {}, artifactHash },
    })
    .returning({ id: models.id });
  return model!.id;
}
