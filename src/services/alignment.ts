/** What work on a finished alignment begins with: its files, and a prompt of its dataset. */
import type { Executor } from '../db/client.ts';
import { readByIds } from '../db/queries/byIds.ts';
import { readPrompted } from '../db/queries/engineDataset.ts';
import type { Run } from '../db/queries/runs.ts';
import { examples } from '../db/tables/index.ts';
import type { ModelRef } from '../engine/contract/model.ts';
import { invalidInput, notFound } from '../errors.ts';
import { loadModelRef } from '../runs/studied.ts';
import type { Example } from './dataset.ts';
import type { EngineWork } from './engine.ts';

export { chosenAlphaOf, readAlignment } from '../runs/alignment.ts';
export { findConcept, readConcepts } from '../runs/concepts.ts';

/** @throws AppError NOT_FOUND; INVALID_INPUT at `exampleId` when it is of another dataset than the run's. */
export async function readExample(
  db: Executor,
  run: Pick<Run, 'datasetId'>,
  exampleId: string,
): Promise<Example> {
  const [example] = await readByIds(db, examples, examples.id, [exampleId]);
  if (!example) throw notFound('Example', exampleId);
  if (example.datasetId === run.datasetId) return example;
  throw invalidInput(['exampleId'], "the example belongs to another dataset than the run's");
}

/**
 * The files of a finished run's model and SAE, as the engine takes them; prompts are put to the model as the run's dataset
 * says. @throws AppError UNAVAILABLE without them. */
export async function loadPair(
  { db, store }: Pick<EngineWork, 'db' | 'store'>,
  { id, modelId, datasetId, artifactHash }: Pick<Run, 'id' | 'modelId' | 'datasetId' | 'artifactHash'>,
): Promise<{ model: ModelRef; sae: string }> {
  return {
    model: { ...(await loadModelRef(db, store, modelId!)), prompted: await readPrompted(db, datasetId) },
    sae: await store.path(artifactHash!, `the SAE of run ${id}`),
  };
}
