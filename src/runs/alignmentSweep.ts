/** One alignment repeated over layers, seeds and any lists of settings: a run whose parts are alignment runs, for any number of workers. */
import { inArray, sql } from 'drizzle-orm';
import type { Executor } from '../db/client.ts';
import { type Page, type PageArgs, readPages } from '../db/queries/page.ts';
import type { Run } from '../db/queries/runs.ts';
import { type RunStatus, runs, splitMeasures } from '../db/tables/index.ts';
import type { AlignmentSettings } from '../engine/contract/alignmentSettings.ts';
import { usesOfTexts } from '../engine/contract/corpus.ts';
import type { ModelConfig } from '../engine/contract/model.ts';
import { invalidInput } from '../errors.ts';
import { type NewAlignmentRun, planAlignment, SWAPS, settleSettings } from './alignment.ts';
import type { ParentKind } from './kind.ts';
import { BINDING_COLUMNS, BINDING_SOURCES } from './sae.ts';
import { onDataset, queueParts } from './start.ts';
import { checkLayer } from './studied.ts';
import { type Combination, ofPoint, type Point, pathsOf, pointsOf, type SweepAxis } from './sweepAxes.ts';
import { json, numbers, pick, type ResultTable, texts } from './table.ts';

const PART_COLUMNS: ResultTable['columns'] = {
  run: { type: 'id AlignmentRun' },
  ...numbers('layer seed'),
  ...json('settings'),
};
/** What axes set of a part, by the path. */
const PART = sql.raw(`p.id as run, p.seed, (p.settings ->> 'layer')::int as layer, (
  select coalesce(jsonb_object_agg(v.path, p.settings #> string_to_array(v.path, '.')), '{}')
  from runs s cross join jsonb_array_elements_text(s.settings #> '{axes,paths}') v (path)
  where s.id = p.parent_id) as settings`);

export const alignmentSweep: ParentKind = {
  tables: {
    parts: {
      description: 'The alignments of the sweep.',
      columns: {
        ...PART_COLUMNS,
        ...texts('status'),
        ...numbers('progress'),
        ...texts('errorCode errorMessage'),
      },
      key: ['run'],
      rows: (runIds) => sql`
        select ${PART}, p.status, p.progress, p.error_code as "errorCode", p.error_message as "errorMessage"
        from runs p where p.parent_id in ${runIds}`,
    },
    'part-binding': {
      description: 'Binding and reconstruction of each part, by split.',
      columns: { ...PART_COLUMNS, ...BINDING_COLUMNS },
      key: ['run', 'split'],
      rows: (runIds) => sql`
        select ${PART}, ${pick(splitMeasures, BINDING_SOURCES)}
        from runs p join ${splitMeasures} on run_id = p.id
        where p.parent_id in ${runIds}`,
    },
    'part-swaps': {
      description: 'Success of concept swaps of each part, by population, split and alpha.',
      columns: { ...PART_COLUMNS, ...SWAPS.columns },
      key: ['run', 'population', 'split', 'edited', 'alpha'],
      rows: (runIds) => sql`
        select ${PART}, ${SWAPS.select} from runs p join swap_measures m on m.run_id = p.id
        where p.parent_id in ${runIds}`,
    },
  },
};

export const MAX_PARTS = 256;
const MAX_SEED = 2 ** 31 - 1;

export interface NewAlignmentSweep extends NewAlignmentRun {
  /** Lists of settings to be varied; none if left out. */
  axes?: SweepAxis[];
  combination?: Combination;
  /**
   * If left out all layers of the model, from -1, unless an axis or, beside axes, the settings have a layer; the one that the
   * SAE to begin with reads, where there is one.
   */
  layers?: number[];
  /** The seed of the settings alone if left out. */
  seeds?: number[];
}

/**
 * Queues an alignment for each point of the axes, layer and seed, and the run that follows them, in one transaction.
 * Parts are queued seed by seed and point by point, so that the first curve over the layers is complete early.
 * @throws AppError NOT_FOUND for the model or the dataset; INVALID_INPUT naming what is not acceptable.
 */
export async function startAlignmentSweep(db: Executor, input: NewAlignmentSweep): Promise<Run> {
  const { axes = [], combination = 'GRID', settings: base = {} } = input;
  checkNamedOnce(input);
  const planned = await planPoints(db, input);
  const { model, dataset, settings: first } = planned[0]!;
  checkCorpus(input, planned);
  const given = pathsOf(axes);
  const layers = layersOf(input, model.config, given);
  const seeds = input.seeds ?? (given.includes('seed') ? null : [first.seed]);
  checkLists(layers, seeds);
  if (layers) checkLayers(input, layers, planned[0]!);
  else await checkOwnLayers(axes, planned);
  const parts = partsOf(planned, { layers, seeds });
  const settings = parts.map((part) => part.settings);
  checkParts(settings, { layers, seeds });
  const common = { ...onDataset(dataset), modelId: model.id };
  const paths = given.filter((path) => path !== 'layer' && path !== 'seed');
  const varied = axes.length > 0 ? { axes: { combination, base, axes, paths } } : {};
  return queueParts(
    db,
    {
      ...common,
      corpusId: planned.find(({ corpusId }) => corpusId)?.corpusId,
      kind: 'ALIGNMENT_SWEEP',
      settings: { ...distinctOf(settings), alignment: settings[0]!, ...varied },
      seed: settings[0]!.seed,
    },
    parts.map((part) => ({ ...common, ...part, kind: 'ALIGNMENT', seed: part.settings.seed })),
    input.pretrainedSaeId,
  );
}

/** The settings of some parts but for layers and seeds, with what they are made of. */
interface Planned extends Awaited<ReturnType<typeof planPart>> {
  point: Point;
}

/** @throws AppError INVALID_INPUT at the value of an axis, where that is what is wrong. */
async function planPoints(db: Executor, input: NewAlignmentSweep): Promise<Planned[]> {
  const { axes = [], combination = 'GRID', settings: base = {} } = input;
  const planned: Planned[] = [];
  for (const point of pointsOf(base, axes, combination, MAX_PARTS)) {
    const part = await ofPoint(point, axes, (settings) => planPart(db, { ...input, settings }));
    planned.push({ ...part, point });
  }
  return planned;
}

/** Seed by seed and, within a seed, point by point. */
function partsOf(
  planned: readonly Planned[],
  { layers, seeds }: { layers: readonly number[] | null; seeds: readonly number[] | null },
): Pick<Planned, 'settings' | 'corpusId'>[] {
  return (seeds ?? [null]).flatMap((seed) =>
    planned.flatMap(({ settings, corpusId }) =>
      (layers ?? [null]).map((layer) => ({
        corpusId,
        settings: { ...settings, layer: layer ?? settings.layer, seed: seed ?? settings.seed },
      })),
    ),
  );
}

function checkLayers(
  input: NewAlignmentSweep,
  layers: readonly number[],
  { model, settings }: Pick<Planned, 'model' | 'settings'>,
): void {
  for (const [i, layer] of layers.entries()) {
    checkLayer(model, layer, ['layers', String(i)]);
    if (isBegun(input) && layer !== settings.layer)
      throw invalidInput(
        ['layers', String(i)],
        `layers must be ${settings.layer} alone, where the SAE to begin with reads, or be left out; got ${layer}`,
      );
  }
}

/** Where each point has a layer of its own. */
async function checkOwnLayers(axes: readonly SweepAxis[], planned: readonly Planned[]): Promise<void> {
  for (const { point, model, settings } of planned)
    await ofPoint(point, axes, async () => checkLayer(model, settings.layer, ['settings', 'layer']));
}

const isBegun = ({ pretrainedSaeId }: NewAlignmentSweep) => pretrainedSaeId !== undefined;

/** A part as an alignment of its own; a corpus is for those that read one. */
async function planPart(db: Executor, { corpusId, ...input }: NewAlignmentSweep) {
  const settings = await settleSettings(db, input);
  return planAlignment(db, { ...input, ...(usesOfTexts(settings).length > 0 && { corpusId }) });
}

/** @throws AppError INVALID_INPUT for a corpus that no part reads. */
function checkCorpus(
  { corpusId }: NewAlignmentSweep,
  parts: readonly { corpusId: string | undefined }[],
): void {
  if (corpusId !== undefined && parts.every((part) => part.corpusId === undefined))
    throw invalidInput(
      ['corpusId'],
      'corpusId names texts that no part would read: set pretrainOn, or silenceOn where weights.silence is above 0, to TEXTS, or leave corpusId out',
    );
}

/** The layers of every point; null where points have their own. */
function layersOf(input: NewAlignmentSweep, config: ModelConfig, given: readonly string[]): number[] | null {
  const { layers, axes = [], settings } = input;
  if (layers) return layers;
  if (isBegun(input)) return null;
  if (given.includes('layer') || (axes.length > 0 && settings?.layer !== undefined)) return null;
  return allLayers(config);
}

/** All that can be studied. */
function allLayers({ nLayers, captured }: ModelConfig): number[] {
  return captured ? [captured.layer] : Array.from({ length: nLayers + 1 }, (_, i) => i - 1);
}

/** Layers and seeds have one place each in the input. */
function checkNamedOnce({ settings = {}, seeds, layers, axes = [] }: NewAlignmentSweep): void {
  if (settings.layer !== undefined && (axes.length === 0 || layers !== undefined))
    throw invalidInput(['settings', 'layer'], 'layer must be left out in a sweep: layers says which');
  if (settings.seed !== undefined && seeds !== undefined)
    throw invalidInput(['settings', 'seed'], 'seed must be left out where seeds are given');
  axes.forEach((axis, i) => {
    const set = pathsOf([axis]);
    for (const [setting, list] of Object.entries({ layer: layers, seed: seeds }))
      if (list !== undefined && set.includes(setting))
        throw invalidInput(['axes', String(i)], `${setting} must be left out where ${setting}s are given`);
  });
}

function checkLists(layers: readonly number[] | null, seeds: readonly number[] | null): void {
  for (const [name, values] of Object.entries({ layers, seeds })) {
    if (values === null) continue;
    if (values.length === 0) throw invalidInput([name], `${name} must name one or more, or be left out`);
    const twice = values.findIndex((value, i) => values.indexOf(value) < i);
    if (twice >= 0)
      throw invalidInput([name, String(twice)], `${name} must differ; ${values[twice]} is there twice`);
  }
  const outside = seeds?.findIndex((seed) => !Number.isInteger(seed) || seed < 0 || seed > MAX_SEED) ?? -1;
  if (outside >= 0)
    throw invalidInput(['seeds', String(outside)], `a seed must be 0–${MAX_SEED}, got ${seeds![outside]}`);
}

/** @throws AppError INVALID_INPUT for too many, and for two that are alike. */
function checkParts(
  parts: readonly AlignmentSettings[],
  { layers, seeds }: { layers: readonly number[] | null; seeds: readonly number[] | null },
): void {
  const [ofLayers, ofSeeds] = [layers?.length ?? 1, seeds?.length ?? 1];
  const points = parts.length / (ofLayers * ofSeeds);
  const factors = [
    ...(points > 1 ? [`${points} points`] : []),
    `${ofLayers} layers`,
    `${ofSeeds} seeds`,
  ].join(' × ');
  if (parts.length > MAX_PARTS)
    throw invalidInput(['layers'], `a sweep may have ${MAX_PARTS} parts; ${factors} are ${parts.length}`);
  const seen = new Set(parts.map((settings) => JSON.stringify(settings)));
  if (seen.size < parts.length)
    throw invalidInput(
      ['axes'],
      'two parts of the sweep would have the same settings; no value may be there twice',
    );
}

function distinctOf(parts: readonly AlignmentSettings[]): { layers: number[]; seeds: number[] } {
  return {
    layers: [...new Set(parts.map(({ layer }) => layer))],
    seeds: [...new Set(parts.map(({ seed }) => seed))],
  };
}

/** For each sweep one page of its parts, seed by seed and within a seed in the order of its layers. */
export function pagePartsOfRuns(
  db: Executor,
  runIds: readonly string[],
  args: PageArgs,
): Promise<Map<string, Page<Run>>> {
  const order = { columns: [runs.createdAt, runs.id], direction: 'asc' } as const;
  return readPages(db, runs, { by: runs.parentId, values: runIds, order }, args);
}

/** For each sweep the number of its parts in each state. */
export async function countPartsOfRuns(
  db: Executor,
  runIds: readonly string[],
): Promise<Record<RunStatus, number>[]> {
  const rows = await db
    .select({ parentId: runs.parentId, status: runs.status, n: sql<number>`count(*)::int` })
    .from(runs)
    .where(inArray(runs.parentId, [...runIds]))
    .groupBy(runs.parentId, runs.status);
  const none = { QUEUED: 0, RUNNING: 0, SUCCEEDED: 0, FAILED: 0, CANCELLED: 0 };
  return runIds.map((id) => {
    const own = rows.filter(({ parentId }) => parentId === id);
    return { ...none, ...Object.fromEntries(own.map(({ status, n }) => [status, n])) };
  });
}
