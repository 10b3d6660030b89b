/** Runs that train an SAE without labels, to compare alignments with. */
import type { Executor } from '../db/client.ts';
import type { Run } from '../db/queries/runs.ts';
import {
  asAlignmentSettings,
  type BaselineSettingsInput,
  resolveBaselineSettings,
} from '../engine/contract/baselineSettings.ts';
import { checkCaptured } from './alignment.ts';
import { readConcepts } from './concepts.ts';
import { chooseCorpus, loadCorpusRef } from './corpus.ts';
import type { EngineKind } from './kind.ts';
import { noteSae, SAE_TABLES, storeMeasures } from './sae.ts';
import { queueRun } from './start.ts';
import { checkLayer, chooseStudied, loadSettled, type Studied } from './studied.ts';

export const baseline: EngineKind<'BASELINE'> = {
  tables: SAE_TABLES,
  checkpoints: true,
  load: async (source, run) => ({
    kind: 'BASELINE',
    ...(await loadSettled(source, run)),
    corpus: await loadCorpusRef(source, run),
  }),
  async store({ tx, keep }, run, result) {
    const artifactHash = await keep(result.weights, 'SAE');
    await storeMeasures(tx, run, result);
    await noteSae(tx, run, { artifactHash, nConcepts: 0, survey: result.survey });
    return { artifactHash, result: { dModel: result.dModel, sinks: result.sinks } };
  },
};

export interface NewBaselineRun extends Studied {
  /** The texts that `trainOn` TEXTS reads. */
  corpusId?: string;
  settings?: BaselineSettingsInput;
}

/**
 * Queues the training of an SAE without labels on a model's activations.
 * @throws AppError NOT_FOUND for the model or the dataset; INVALID_INPUT naming what is not acceptable.
 */
export async function startBaselineRun(db: Executor, input: NewBaselineRun): Promise<Run> {
  const { model, dataset } = await chooseStudied(db, input);
  const { length: nConcepts } = await readConcepts(db, { datasetId: dataset.id });
  const settings = resolveBaselineSettings(input.settings ?? {}, nConcepts);
  checkLayer(model, settings.layer, ['settings', 'layer']);
  checkCaptured(model, asAlignmentSettings(settings));
  const corpusId = await chooseCorpus(db, input.corpusId, asAlignmentSettings(settings), 'trainOn');
  return queueRun(db, { kind: 'BASELINE', settings, modelId: model.id, corpusId }, dataset);
}
