/** Runs: checked before they are queued, so that what is queued can be done; read, listed, cancelled. */
import { and, count, eq, isNotNull, or } from 'drizzle-orm';
import type { Db, Executor } from '../db/client.ts';
import { readByIds } from '../db/queries/byIds.ts';
import { type MetricSeries, readMetrics } from '../db/queries/metrics.ts';
import type { Page, PageArgs } from '../db/queries/page.ts';
import * as queries from '../db/queries/runs.ts';
import { datasets, examples, models, runs } from '../db/tables/index.ts';
import { resolveAlignmentSettings } from '../engine/contract/alignmentPresets.ts';
import type { AlignmentSettings, AlignmentSettingsInput } from '../engine/contract/alignmentSettings.ts';
import { type ModelSettingsInput, resolveModelSettings } from '../engine/contract/modelSettings.ts';
import { invalidInput, notFound } from '../errors.ts';
import { dequeueRun, enqueueNewRuns, enqueueRun } from '../jobs/queue.ts';
import { CODE_VERSION } from '../version.ts';
import { findConcept, readConcepts } from './alignment.ts';
import { type CheckpointSchedule, checkpointSteps } from './checkpointSchedule.ts';

export type * from '../db/queries/events.ts';
export type { MetricSeries } from '../db/queries/metrics.ts';
export type { Page, PageArgs } from '../db/queries/page.ts';
export type { Run, RunFilter } from '../db/queries/runs.ts';
export type { RunFeed } from '../db/runFeed.ts';

type Run = queries.Run;
export type Dataset = typeof datasets.$inferSelect;
export type Model = typeof models.$inferSelect;

export interface NewModelRun {
  datasetId: string;
  /** The model whose weights it begins with; new ones are drawn if left out. */
  modelId?: string;
  settings?: ModelSettingsInput;
  /** When to keep the model along the way; never if left out. */
  keepCheckpoints?: CheckpointSchedule;
}

export interface NewAlignmentRun {
  modelId: string;
  /** Prompts to read activations at; the dataset that the model was trained on if left out. */
  datasetId?: string;
  settings?: AlignmentSettingsInput;
}

/**
 * Queues the training of a language model on a dataset.
 * @throws AppError NOT_FOUND for the dataset or the model; INVALID_INPUT naming the setting that is not acceptable.
 */
export async function startModelRun(db: Db, input: NewModelRun): Promise<Run> {
  const initial = input.modelId === undefined ? null : await readModel(db, input.modelId);
  const settings = resolveModelSettings(input.settings ?? {}, initial?.config ?? null);
  const dataset = await readDataset(db, input.datasetId);
  if ((await countTraining(db, dataset.id, 'LEARNED')) === 0)
    throw invalidInput(
      ['datasetId'],
      `dataset "${dataset.name}" has nothing in its TRAIN split to learn from`,
    );
  const keepSteps =
    input.keepCheckpoints && checkpointSteps(input.keepCheckpoints, settings.steps, ['keepCheckpoints']);
  const run = { kind: 'MODEL', settings: { ...settings, keepSteps }, modelId: null } as const;
  return queueRun(db, { ...run, initialModelId: initial?.id ?? null }, dataset);
}

/**
 * Queues the alignment of a model's activations to the ontology of a dataset.
 * @throws AppError NOT_FOUND for the model or the dataset; INVALID_INPUT naming what is not acceptable.
 */
export async function startAlignmentRun(db: Db, input: NewAlignmentRun): Promise<Run> {
  const { settings, model, dataset } = await planAlignment(db, input);
  checkLayer(model, settings.layer, ['settings', 'layer']);
  return queueRun(db, { kind: 'ALIGNMENT', settings, modelId: model.id }, dataset);
}

/** What an alignment is made of; `checkLayer` is the caller's part. @throws AppError as `startAlignmentRun` does. */
export async function planAlignment(
  db: Executor,
  input: NewAlignmentRun,
): Promise<{ settings: AlignmentSettings; model: Model; dataset: Dataset }> {
  const settings = resolveAlignmentSettings(input.settings ?? {});
  const studied = await chooseStudied(db, input);
  const concepts = await readConcepts(db, { datasetId: studied.dataset.id });
  settings.withheldTargets.forEach((key, i) => {
    findConcept(concepts, key, ['settings', 'withheldTargets', String(i)]);
  });
  return { settings, ...studied };
}

/**
 * The model whose activations are to be studied, and the dataset whose prompts are asked.
 * @throws AppError NOT_FOUND for either; INVALID_INPUT when the two do not fit or there is nothing to learn from.
 */
export async function chooseStudied(
  db: Executor,
  input: Pick<NewAlignmentRun, 'modelId' | 'datasetId'>,
): Promise<{ model: Model; dataset: Dataset }> {
  const model = await readModel(db, input.modelId);
  const dataset = await chooseDataset(db, model, input.datasetId);
  if ((await countTraining(db, dataset.id, 'PROMPT')) === 0)
    throw invalidInput(
      ['datasetId'],
      `dataset "${dataset.name}" has no questions in its TRAIN split to bind to`,
    );
  return { model, dataset };
}

/** @throws AppError INVALID_INPUT at `path` when the model has no such layer. */
export function checkLayer(
  model: { name: string; config: { nLayers: number } },
  layer: number,
  path: readonly string[],
): void {
  const nLayers = nLayersOf(model);
  if (layer >= -1 && layer < nLayers) return;
  throw invalidInput(
    path,
    `layer must be -1 (before the first block) to ${nLayers - 1}, the last block of model "${model.name}"; got ${layer}`,
  );
}

/** Number of blocks. */
export function nLayersOf(model: { config: { nLayers: number } }): number {
  return model.config.nLayers;
}

/**
 * Ends a run that waits or works, with the parts that it has; their workers end the engine processes at once.
 * @throws AppError NOT_FOUND; CONFLICT when it has ended already.
 */
export async function cancelRun(db: Db, id: string): Promise<Run> {
  const { run, parts } = await queries.cancelRun(db, id);
  // Each by itself, so that it never holds one job while it waits for another; a job left over does no harm.
  for (const each of [run, ...parts]) await dequeueRun(db, each.id);
  return run;
}

/** @throws AppError NOT_FOUND */
export async function getRun(db: Executor, id: string): Promise<Run> {
  const run = await queries.readRun(db, id);
  if (!run) throw notFound('Run', id);
  return run;
}

/** For each id its run, or null. */
export function runsByIds(db: Executor, ids: readonly string[]): Promise<(Run | null)[]> {
  return readByIds(db, runs, runs.id, ids);
}

/** Runs that fit the filter, newest first. */
export function listRuns(db: Executor, filter: queries.RunFilter, args: PageArgs): Promise<Page<Run>> {
  return queries.listRuns(db, filter, args);
}

/**
 * Metric series of a run, each thinned to `maxPoints` without losing its extremes; `names: null` is all.
 * @throws AppError INVALID_INPUT
 */
export function getMetrics(
  db: Executor,
  runId: string,
  names: readonly string[] | null,
  maxPoints: number,
): Promise<MetricSeries[]> {
  return readMetrics(db, runId, names, maxPoints);
}

type RunToQueue = Pick<
  queries.NewRun,
  'kind' | 'modelId' | 'initialModelId' | 'alignmentRunId' | 'baselineRunId' | 'analysisRunId'
> & { settings: { seed: number } & Record<string, unknown> };

/** Stores a run on a dataset and puts it into the job queue. */
export async function queueRun(
  db: Db,
  { settings, ...run }: RunToQueue,
  dataset: Pick<Dataset, 'id' | 'contentHash'>,
): Promise<Run> {
  return db.transaction(async (tx) => {
    const { seed } = settings;
    const stored = await queries.insertRun(tx, {
      ...run,
      ...onDataset(dataset),
      settings: { ...settings },
      seed,
    });
    await enqueueRun(tx, stored.id);
    return stored;
  });
}

/** The same for a run without a job of its own and its parts; those that wait for a model are queued when it is there. */
export async function queueParts(
  db: Db,
  parent: queries.NewRun,
  parts: readonly queries.NewRun[],
): Promise<Run> {
  return db.transaction(async (tx) => {
    const stored = await queries.insertRun(tx, parent);
    const children = await queries.insertParts(tx, stored, parts);
    const ready = children.filter(({ kind, modelId }) => kind === 'MODEL' || modelId !== null);
    await enqueueNewRuns(tx, ready.map(({ id }) => id).sort());
    return stored;
  });
}

/** What every run notes of its dataset and of the server that starts it. */
export function onDataset({ id, contentHash }: Pick<Dataset, 'id' | 'contentHash'>) {
  return { datasetId: id, datasetHash: contentHash, codeVersion: CODE_VERSION };
}

/** @throws AppError NOT_FOUND */
export async function readDataset(db: Executor, id: string): Promise<Dataset> {
  const [dataset] = await readByIds(db, datasets, datasets.id, [id]);
  if (!dataset) throw notFound('Dataset', id);
  return dataset;
}

async function readModel(db: Executor, id: string): Promise<Model> {
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
async function countTraining(db: Executor, datasetId: string, what: 'PROMPT' | 'LEARNED'): Promise<number> {
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
