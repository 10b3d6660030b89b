/** Runs that measure an SAE that is there, on any dataset. */
import { eq } from 'drizzle-orm';
import type { Executor } from '../db/client.ts';
import { insertSurvey } from '../db/queries/latentStats.ts';
import type { Run } from '../db/queries/runs.ts';
import { usedSaeOfRuns } from '../db/queries/saes.ts';
import { datasets } from '../db/tables/index.ts';
import { invalidInput } from '../errors.ts';
import type { EngineKind } from './kind.ts';
import { loadUsedSae, readSae } from './pretrained.ts';
import { SAE_TABLES, storeMeasures } from './sae.ts';
import { queueRun } from './start.ts';
import { chooseStudied, loadSettled } from './studied.ts';

export const saeEvaluation: EngineKind<'SAE_EVALUATION'> = {
  tables: SAE_TABLES,
  checkpoints: false,
  load: async (source, run) => ({
    kind: 'SAE_EVALUATION',
    ...(await loadSettled(source, run)),
    sae: (await loadUsedSae(source, run.id))!,
  }),
  async store({ tx }, run, { survey, ...measured }) {
    await storeMeasures(tx, run, measured);
    const [sae] = await usedSaeOfRuns(tx, [run.id]);
    await insertSurvey(tx, { saeId: sae!.id, datasetId: run.datasetId }, survey);
    return {};
  },
};

export interface NewSaeEvaluation {
  saeId: string;
  /** On whose prompts; those of the SAE's own dataset if left out. */
  datasetId?: string;
}

/**
 * Queues the evaluation of an SAE on a dataset.
 * @throws AppError NOT_FOUND for the SAE or the dataset; INVALID_INPUT naming what is not acceptable.
 */
export async function startSaeEvaluation(db: Executor, { saeId, datasetId }: NewSaeEvaluation): Promise<Run> {
  const sae = await readSae(db, saeId);
  const chosen = datasetId ?? sae.datasetId;
  if (chosen === null)
    throw invalidInput(['datasetId'], `datasetId is needed: the SAE "${sae.name}" has no dataset of its own`);
  const { dataset } = await chooseStudied(db, { modelId: sae.modelId, datasetId: chosen });
  if (sae.config.nConcepts > 0 && sae.datasetId !== null) {
    const [own] = await db.select().from(datasets).where(eq(datasets.id, sae.datasetId));
    if (own!.ontologyId !== dataset.ontologyId)
      throw invalidInput(
        ['datasetId'],
        `dataset "${dataset.name}" belongs to another ontology than "${own!.name}", to whose concepts the slots of the SAE are bound`,
      );
  }
  return queueRun(
    db,
    { kind: 'SAE_EVALUATION', settings: { seed: 0 }, modelId: sae.modelId },
    dataset,
    sae.id,
  );
}
