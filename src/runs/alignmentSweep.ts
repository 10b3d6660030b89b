/** One alignment repeated over layers and seeds: a run whose parts are alignment runs, for any number of workers. */
import { inArray, sql } from 'drizzle-orm';
import type { Executor } from '../db/client.ts';
import { type Page, type PageArgs, readPages } from '../db/queries/page.ts';
import type { Run } from '../db/queries/runs.ts';
import { type RunStatus, runs, splitMeasures } from '../db/tables/index.ts';
import type { ModelConfig } from '../engine/contract/model.ts';
import { invalidInput } from '../errors.ts';
import { type NewAlignmentRun, planAlignment, SWAPS } from './alignment.ts';
import type { ParentKind } from './kind.ts';
import { BINDING_COLUMNS, BINDING_SOURCES } from './sae.ts';
import { onDataset, queueParts } from './start.ts';
import { checkLayer } from './studied.ts';
import { numbers, pick, type ResultTable, texts } from './table.ts';

const PART_COLUMNS: ResultTable['columns'] = { run: { type: 'id AlignmentRun' }, ...numbers('layer seed') };
const PART = sql.raw(`p.id as run, p.seed, (p.settings ->> 'layer')::int as layer`);

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
  /** All layers of the model, from -1, if left out; the one that the SAE to begin with reads, where there is one. */
  layers?: number[];
  /** The seed of the settings alone if left out. */
  seeds?: number[];
}

/**
 * Queues an alignment for each layer and seed, and the run that follows them, in one transaction. Parts are queued
 * seed by seed, so that the first curve over the layers is complete early.
 * @throws AppError NOT_FOUND for the model or the dataset; INVALID_INPUT naming what is not acceptable.
 */
export async function startAlignmentSweep(db: Executor, input: NewAlignmentSweep): Promise<Run> {
  checkNamedOnce(input);
  const { settings, model, dataset, corpusId } = await planAlignment(db, input);
  const layers = input.layers ?? (isBegun(input) ? [settings.layer] : layersOf(model.config));
  const seeds = input.seeds ?? [settings.seed];
  checkGrid(layers, seeds);
  for (const [i, layer] of layers.entries()) {
    checkLayer(model, layer, ['layers', String(i)]);
    if (isBegun(input) && layer !== settings.layer)
      throw invalidInput(
        ['layers', String(i)],
        `layers must be ${settings.layer} alone, where the SAE to begin with reads, or be left out; got ${layer}`,
      );
  }
  const parts = seeds.flatMap((seed) => layers.map((layer) => ({ ...settings, layer, seed })));
  const common = { ...onDataset(dataset), modelId: model.id, corpusId };
  return queueParts(
    db,
    {
      ...common,
      kind: 'ALIGNMENT_SWEEP',
      settings: { layers, seeds, alignment: parts[0]! },
      seed: seeds[0]!,
    },
    parts.map((part) => ({ ...common, kind: 'ALIGNMENT', settings: part, seed: part.seed })),
    input.pretrainedSaeId,
  );
}

const isBegun = ({ pretrainedSaeId }: NewAlignmentSweep) => pretrainedSaeId !== undefined;

/** All that can be studied. */
function layersOf({ nLayers, captured }: ModelConfig): number[] {
  return captured ? [captured.layer] : Array.from({ length: nLayers + 1 }, (_, i) => i - 1);
}

/** Layers and seeds have one place each in the input. */
function checkNamedOnce({ settings = {}, seeds }: NewAlignmentSweep): void {
  if (settings.layer !== undefined)
    throw invalidInput(['settings', 'layer'], 'layer must be left out in a sweep: layers says which');
  if (settings.seed !== undefined && seeds !== undefined)
    throw invalidInput(['settings', 'seed'], 'seed must be left out where seeds are given');
}

function checkGrid(layers: readonly number[], seeds: readonly number[]): void {
  for (const [name, values] of Object.entries({ layers, seeds })) {
    if (values.length === 0) throw invalidInput([name], `${name} must name one or more, or be left out`);
    const twice = values.findIndex((value, i) => values.indexOf(value) < i);
    if (twice >= 0)
      throw invalidInput([name, String(twice)], `${name} must differ; ${values[twice]} is there twice`);
  }
  const outside = seeds.findIndex((seed) => !Number.isInteger(seed) || seed < 0 || seed > MAX_SEED);
  if (outside >= 0)
    throw invalidInput(['seeds', String(outside)], `a seed must be 0–${MAX_SEED}, got ${seeds[outside]}`);
  const parts = layers.length * seeds.length;
  if (parts > MAX_PARTS)
    throw invalidInput(
      ['layers'],
      `a sweep may have ${MAX_PARTS} parts; ${layers.length} layers × ${seeds.length} seeds are ${parts}`,
    );
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
