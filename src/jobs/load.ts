/** From a run's row to the engine's job: the dataset as plain data, the model as a file. */
import { eq } from 'drizzle-orm';
import type { ArtifactStore } from '../db/artifactStore.ts';
import type { Executor } from '../db/client.ts';
import { loadEngineDataset } from '../db/queries/engineDataset.ts';
import type { Run } from '../db/queries/runs.ts';
import { models } from '../db/tables.ts';
import type { ModelConfig, ModelRef } from '../engine/model/job.ts';
import type { ModelSettings } from '../engine/model/settings.ts';
import type { EngineJob } from '../engine/protocol.ts';
import type { AlignmentSettings } from '../engine/sae/settings.ts';
import { notFound } from '../errors.ts';

/** What the engine needs to do the run, which was validated before it was queued. */
export async function loadJob(db: Executor, store: ArtifactStore, run: Run): Promise<EngineJob> {
  const dataset = await loadEngineDataset(db, run.datasetId);
  if (run.kind === 'MODEL')
    return { kind: 'MODEL', settings: run.settings as unknown as ModelSettings, dataset };
  const model = await loadModelRef(db, store, run.modelId!);
  return { kind: 'ALIGNMENT', settings: run.settings as unknown as AlignmentSettings, model, dataset };
}

/**
 * A stored model as the engine reads it.
 * @throws AppError NOT_FOUND; UNAVAILABLE when its file is not in the store.
 */
export async function loadModelRef(db: Executor, store: ArtifactStore, modelId: string): Promise<ModelRef> {
  const [model] = await db.select().from(models).where(eq(models.id, modelId));
  if (!model) throw notFound('Model', modelId);
  const { config, tokenizer, artifactHash } = model;
  return { weights: await store.path(artifactHash), config: config as unknown as ModelConfig, tokenizer };
}
