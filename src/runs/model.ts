/** Runs that train a language model. */
import type { Executor } from '../db/client.ts';
import type { Run } from '../db/queries/runs.ts';
import { models } from '../db/tables/index.ts';
import type { CheckpointSchedule } from '../engine/contract/grokkingSettings.ts';
import type { ModelResult } from '../engine/contract/model.ts';
import { type ModelSettingsInput, resolveModelSettings } from '../engine/contract/modelSettings.ts';
import { invalidInput } from '../errors.ts';
import { checkpointSteps } from './checkpointSchedule.ts';
import type { EngineKind } from './kind.ts';
import { queueRun } from './start.ts';
import { checkChat, checkComputes, countTraining, loadModelRef, readDataset, readModel } from './studied.ts';

export const model: EngineKind<'MODEL'> = {
  tables: {},
  checkpoints: true,
  async load({ db, store, dataset }, { settings: stored, initialModelId }) {
    const { keepSteps, ...settings } = stored;
    const initial = initialModelId ? await loadModelRef(db, store, initialModelId) : undefined;
    return { kind: 'MODEL', settings, dataset, keepSteps, initial };
  },
  async store({ tx, keep }, run, result) {
    const artifactHash = await keep(result.weights, 'MODEL');
    const { nParams, finalLoss, accuracy } = result;
    const modelId = await insertModel(tx, run, { ...result, artifactHash });
    return { artifactHash, modelId, result: { finalLoss, accuracy, nParams } };
  },
};

type Made = Pick<ModelResult, 'config' | 'tokenizer' | 'nParams' | 'accuracy'> & {
  artifactHash: string;
  /** After which step of the training; its end if left out. */
  step?: number;
};

/** Makes what a training has come to a model of its own; its id. */
export async function insertModel(
  tx: Executor,
  run: Pick<Run, 'datasetId' | 'initialModelId' | 'seed'>,
  { config, tokenizer, nParams, accuracy, artifactHash, step }: Made,
): Promise<string> {
  const dataset = await readDataset(tx, run.datasetId);
  const initial = step === undefined && run.initialModelId ? await readModel(tx, run.initialModelId) : null;
  const made = initial
    ? `${initial.name} on ${dataset.name}`
    : `${dataset.name}, ${config.nLayers} × ${config.dModel}`;
  const name = `${made}, seed ${run.seed}${step === undefined ? '' : `, step ${step}`}`;
  const { datasetId } = run;
  const [stored] = await tx
    .insert(models)
    .values({ name, datasetId, config, tokenizer, nParams, accuracy, artifactHash })
    .returning({ id: models.id });
  return stored!.id;
}

export interface NewModelRun {
  datasetId: string;
  /** The model whose weights it begins with; new ones are drawn if left out. */
  modelId?: string;
  settings?: ModelSettingsInput;
  /** When to keep the model along the way; never if left out. */
  keepCheckpoints?: CheckpointSchedule;
}

/**
 * Queues the training of a language model on a dataset.
 * @throws AppError NOT_FOUND for the dataset or the model; INVALID_INPUT naming the setting that is not acceptable.
 */
export async function startModelRun(db: Executor, input: NewModelRun): Promise<Run> {
  const initial = input.modelId === undefined ? null : await readModel(db, input.modelId);
  if (initial) checkComputes(initial, 'training', ['modelId']);
  const settings = resolveModelSettings(input.settings ?? {}, initial?.config ?? null);
  const dataset = await readDataset(db, input.datasetId);
  checkChat(initial, dataset);
  if ((await countTraining(db, dataset.id, 'LEARNED')) === 0)
    throw invalidInput(
      ['datasetId'],
      `dataset "${dataset.name}" has nothing in its TRAIN split to learn from`,
    );
  const keepSteps =
    input.keepCheckpoints && checkpointSteps(input.keepCheckpoints, settings.steps, ['keepCheckpoints']);
  return queueRun(
    db,
    { kind: 'MODEL', settings: { ...settings, keepSteps }, initialModelId: initial?.id },
    dataset,
  );
}
