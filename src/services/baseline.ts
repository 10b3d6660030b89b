/** Unsupervised baselines, and what is measured of every SAE: concept latents and faithfulness. */
import { count, eq } from 'drizzle-orm';
import type { Db, Executor } from '../db/client.ts';
import { readGroups } from '../db/queries/byIds.ts';
import { concepts, faithfulness } from '../db/tables/index.ts';
import { type BaselineSettingsInput, resolveBaselineSettings } from '../engine/contract/baselineSettings.ts';
import { checkLayer, chooseStudied, queueRun, type Run } from './run.ts';

export { type ConceptLatent, conceptLatentsOfRuns } from '../db/queries/conceptLatents.ts';
export type Faithfulness = typeof faithfulness.$inferSelect;

export interface NewBaselineRun {
  modelId: string;
  /** Prompts to read activations at; the dataset that the model was trained on if left out. */
  datasetId?: string;
  settings?: BaselineSettingsInput;
}

/**
 * Queues the training of an SAE without labels on a model's activations.
 * @throws AppError NOT_FOUND for the model or the dataset; INVALID_INPUT naming what is not acceptable.
 */
export async function startBaselineRun(db: Db, input: NewBaselineRun): Promise<Run> {
  const { model, dataset } = await chooseStudied(db, input);
  const nConcepts = await countConcepts(db, dataset.ontologyId);
  const settings = resolveBaselineSettings(input.settings ?? {}, nConcepts);
  checkLayer(model, settings.layer, ['settings', 'layer']);
  return queueRun(db, { kind: 'BASELINE', settings, modelId: model.id }, dataset);
}

/** For each run how the model answers with its activations replaced, by split and replacement. */
export function faithfulnessOfRuns(db: Executor, runIds: readonly string[]): Promise<Faithfulness[][]> {
  const { split, replacement } = faithfulness;
  return readGroups(db, faithfulness, faithfulness.runId, runIds, [split, replacement]);
}

async function countConcepts(db: Executor, ontologyId: string): Promise<number> {
  const [row] = await db.select({ n: count() }).from(concepts).where(eq(concepts.ontologyId, ontologyId));
  return row!.n;
}
