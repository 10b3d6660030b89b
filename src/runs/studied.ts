/** The model that a run studies and the dataset whose prompts it asks: chosen when it starts, loaded when it runs. */
import { and, count, eq, isNotNull, or } from 'drizzle-orm';
import type { ArtifactStore } from '../db/artifactStore.ts';
import type { Executor } from '../db/client.ts';
import { readByIds } from '../db/queries/byIds.ts';
import { datasets, exampleConcepts, examples, models } from '../db/tables/index.ts';
import type { EngineDataset } from '../engine/contract/dataset.ts';
import type { ModelConfig, ModelRef } from '../engine/contract/model.ts';
import { invalidInput, notFound } from '../errors.ts';
import type { JobSource } from './kind.ts';

export type Dataset = typeof datasets.$inferSelect;
export type Model = typeof models.$inferSelect;

export interface Studied {
  modelId: string;
  /** Prompts to read activations at; the dataset that the model was trained on if left out. */
  datasetId?: string;
}

/**
 * @throws AppError NOT_FOUND for model or dataset; INVALID_INPUT when the two do not fit or there is nothing to learn from.
 */
export async function chooseStudied(
  db: Executor,
  { modelId, datasetId }: Studied,
): Promise<{ model: Model; dataset: Dataset }> {
  const model = await readModel(db, modelId);
  const dataset = await chooseDataset(db, model, datasetId);
  checkCapturedDataset(model, dataset);
  checkChat(model, dataset);
  if ((await countTraining(db, dataset.id, 'PROMPT')) === 0)
    throw invalidInput(
      ['datasetId'],
      `dataset "${dataset.name}" has no questions in its TRAIN split to bind to`,
    );
  return { model, dataset };
}

/** @throws AppError INVALID_INPUT when the model has captured activations, and they are of another dataset's prompts. */
function checkCapturedDataset({ name, config, datasetId }: Model, dataset: Dataset): void {
  if (!config.captured || datasetId === dataset.id) return;
  throw invalidInput(
    ['datasetId'],
    `datasetId must be left out: of model "${name}" only the activations of the prompts that it was imported with are known`,
  );
}

/**
 * @param model Null where one is yet to be made.
 * @throws AppError INVALID_INPUT for a dataset of chats with a model that has no chat template.
 */
export function checkChat(
  model: Pick<Model, 'name' | 'config' | 'tokenizer'> | null,
  { name, chat }: Pick<Dataset, 'name' | 'chat'>,
): void {
  if (!chat || model?.config.captured || (model && hasChatTemplate(model))) return;
  const who = model ? `model "${model.name}" has none` : 'a new model has none; name one in modelId';
  throw invalidInput(
    ['datasetId'],
    `the prompts of dataset "${name}" are put by a chat template, and ${who}`,
  );
}

/** Whether the model's files say how messages are put to it. */
function hasChatTemplate({ tokenizer }: Pick<Model, 'tokenizer'>): boolean {
  return (tokenizer as { chat?: unknown } | null)?.chat != null;
}

/**
 * @param what What needs it, such as `a swap`.
 * @throws AppError INVALID_INPUT at `path` for a model without weights.
 */
export function checkComputes(
  { name, config }: Pick<Model, 'name' | 'config'>,
  what: string,
  path: readonly string[],
): void {
  if (!config.captured) return;
  throw invalidInput(
    path,
    `${what} needs a model that computes; of model "${name}" only captured activations are known, without weights and tokenizer`,
  );
}

/** @throws AppError INVALID_INPUT at `path` when the model has no such layer. */
export function checkLayer(
  {
    name,
    config: { nLayers, captured },
  }: { name: string; config: Pick<ModelConfig, 'nLayers' | 'captured'> },
  layer: number,
  path: readonly string[],
): void {
  if (captured && layer !== captured.layer)
    throw invalidInput(
      path,
      `layer must be ${captured.layer}, the only one whose activations of model "${name}" are known; got ${layer}`,
    );
  if (layer >= -1 && layer < nLayers) return;
  throw invalidInput(
    path,
    `layer must be -1 (before the first block) to ${nLayers - 1}, the last block of model "${name}"; got ${layer}`,
  );
}

/** @throws AppError NOT_FOUND */
export async function readDataset(db: Executor, id: string): Promise<Dataset> {
  const [dataset] = await readByIds(db, datasets, datasets.id, [id]);
  if (!dataset) throw notFound('Dataset', id);
  return dataset;
}

/** @throws AppError NOT_FOUND */
export async function readModel(db: Executor, id: string): Promise<Model> {
  const [model] = await readByIds(db, models, models.id, [id]);
  if (!model) throw notFound('Model', id);
  return model;
}

/** The dataset asked for, if the model can know what it is about: both must belong to one ontology. */
async function chooseDataset(db: Executor, model: Model, datasetId: string | undefined): Promise<Dataset> {
  const chosen = datasetId ?? model.datasetId;
  if (!chosen)
    throw invalidInput(
      ['datasetId'],
      `datasetId is needed: model "${model.name}" was not trained on a dataset here`,
    );
  const dataset = await readDataset(db, chosen);
  if (model.datasetId && model.datasetId !== dataset.id) {
    const trained = await readDataset(db, model.datasetId);
    if (trained.ontologyId !== dataset.ontologyId)
      throw invalidInput(
        ['datasetId'],
        `dataset "${dataset.name}" belongs to another ontology than "${trained.name}", which model "${model.name}" was trained on`,
      );
  }
  return dataset;
}

/** `PROMPT`: what an SAE is bound at; `LEARNED`: answers and texts, which a language model learns. */
export async function countTraining(
  db: Executor,
  datasetId: string,
  what: 'PROMPT' | 'LEARNED',
): Promise<number> {
  const [row] = await db
    .select({ n: count() })
    .from(examples)
    .where(
      and(
        eq(examples.datasetId, datasetId),
        eq(examples.split, 'TRAIN'),
        what === 'PROMPT'
          ? eq(examples.kind, 'QUESTION')
          : or(eq(examples.kind, 'TEXT'), isNotNull(examples.answer)),
      ),
    );
  return row!.n;
}

/** @throws AppError INVALID_INPUT at `datasetId` when TRAIN or VALIDATION has no two-hop questions. */
export async function checkTwoHops(db: Executor, { id, name }: Dataset): Promise<void> {
  for (const split of ['TRAIN', 'VALIDATION'] as const) {
    const [row] = await db
      .select({ n: count() })
      .from(examples)
      .innerJoin(exampleConcepts, eq(exampleConcepts.exampleId, examples.id))
      .where(and(eq(examples.datasetId, id), eq(examples.split, split), eq(exampleConcepts.hop, 2)));
    if (row!.n === 0)
      throw invalidInput(['datasetId'], `dataset "${name}" has no two-hop questions in its ${split} split`);
  }
}

/** What the job of a run that studies a model begins with. @throws AppError as `loadModelRef` does. */
export async function loadStudied(
  { db, store, dataset }: JobSource,
  { modelId }: { modelId: string | null },
): Promise<{ model: ModelRef; dataset: EngineDataset }> {
  return { model: await loadModelRef(db, store, modelId!), dataset };
}

/** The same with the run's settings, where they are the job's. */
export async function loadSettled<S>(source: JobSource, run: { modelId: string | null; settings: S }) {
  return { settings: run.settings, ...(await loadStudied(source, run)) };
}

/**
 * A stored model as the engine reads it.
 * @throws AppError NOT_FOUND; UNAVAILABLE when its file is not in the store, or damaged.
 */
export async function loadModelRef(db: Executor, store: ArtifactStore, modelId: string): Promise<ModelRef> {
  const { name, config, tokenizer, artifactHash } = await readModel(db, modelId);
  const weights = await store.path(artifactHash, `model "${name}"`);
  return { weights, config, tokenizer };
}
