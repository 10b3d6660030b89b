/** Everything that has been measured of runs, in one shape: a name, what it was measured on, and the figure. */
import { and, asc, count, eq, inArray } from 'drizzle-orm';
import type { Executor } from '../db/client.ts';
import type { Run } from '../db/queries/runs.ts';
import {
  conceptLatents,
  concepts,
  examples,
  faithfulness,
  hopSwaps,
  models,
  splitMeasures,
  swapMeasures,
  sweepCells,
} from '../db/tables/index.ts';
import type { Split } from '../engine/contract/dataset.ts';
import type { Share } from '../stats.ts';

export const MEASURES = [
  'MODEL_ACCURACY',
  'BINDING_ACCURACY',
  'BINDING_TOP3',
  'BINDING_TOP5',
  'DIAGONAL_ACCURACY',
  'DIAGONAL_STRENGTH',
  'VALUE_ACCURACY',
  'FVU',
  'L0',
  'DEAD_LATENTS',
  'SWAP_SUCCESS',
  'PROMPT_ISOLATION',
  'TEXT_ISOLATION',
  'STATEMENT_ISOLATION',
  'FAITHFUL_ACCURACY',
  'CROSS_ENTROPY',
  'SEPARABILITY',
  'FRAGMENTATION',
] as const;
export type MeasureName = (typeof MEASURES)[number];

export interface Measure {
  name: MeasureName;
  split: Split | null;
  /** What else tells it from others of its name, in order: such as `population: UNSEEN`. */
  of: readonly { name: string; value: string }[];
  value: number;
  /** Of what the value is the share; null where it is not one of trials. */
  rate: Share | null;
  /** Of a swap at an alpha that the run itself chose; null otherwise. */
  alpha: number | null;
}

/** For each run all of its measures. */
export async function measuresOf(db: Executor, runs: readonly Run[]): Promise<Measure[][]> {
  const ids = runs.map(({ id }) => id);
  const tables = await Promise.all([
    readModelAccuracy(db, runs),
    readSplits(db, ids),
    readSwaps(db, ids),
    readCells(db, ids),
    readHopSwaps(db, ids),
    readFaithfulness(db, ids),
    readLatents(db, ids),
  ]);
  return ids.map((id) => tables.flatMap((table) => table.get(id) ?? []));
}

type ByRun = Map<string, Measure[]>;
type Where = Partial<Pick<Measure, 'split' | 'of' | 'alpha'>>;

function plain(name: MeasureName, value: number, where: Where = {}): Measure {
  return { name, split: null, of: [], alpha: null, ...where, value, rate: null };
}

/** Nothing where there were no trials. */
function share(name: MeasureName, successes: number, trials: number, where: Where = {}): Measure[] {
  if (trials === 0) return [];
  return [{ ...plain(name, successes / trials, where), rate: { successes, trials } }];
}

/** A share that is stored without its count of successes. */
function shareOf(name: MeasureName, value: number, trials: number, where: Where): Measure[] {
  return share(name, Math.round(value * trials), trials, where);
}

function toMap<Row extends { runId: string }>(
  rows: readonly Row[],
  measures: (row: Row) => Measure[],
): ByRun {
  const map: ByRun = new Map();
  for (const row of rows) map.set(row.runId, [...(map.get(row.runId) ?? []), ...measures(row)]);
  return map;
}

/** Of the model that a run made or studies, on the questions of the dataset that the model was trained on. */
async function readModelAccuracy(db: Executor, runs: readonly Run[]): Promise<ByRun> {
  const modelIds = runs.flatMap(({ modelId }) => modelId ?? []);
  const rows = await db
    .select({ id: models.id, accuracy: models.accuracy, split: examples.split, trials: count() })
    .from(models)
    .innerJoin(examples, and(eq(examples.datasetId, models.datasetId), eq(examples.kind, 'QUESTION')))
    .where(inArray(models.id, modelIds))
    .groupBy(models.id, examples.split)
    .orderBy(asc(examples.split));
  const own = runs.flatMap((run) =>
    rows.flatMap(({ id, ...row }) => (id === run.modelId ? { ...row, runId: run.id } : [])),
  );
  return toMap(own, ({ accuracy, split, trials }) => {
    const value = accuracy[split];
    return value === undefined ? [] : shareOf('MODEL_ACCURACY', value, trials, { split });
  });
}

async function readSplits(db: Executor, ids: readonly string[]): Promise<ByRun> {
  const rows = await db
    .select()
    .from(splitMeasures)
    .where(inArray(splitMeasures.runId, [...ids]))
    .orderBy(asc(splitMeasures.split));
  return toMap(rows, (row) => {
    const { split, examples: n, valueAccuracy } = row;
    const where = { split };
    return [
      ...shareOf('BINDING_ACCURACY', row.accuracy, n, where),
      ...shareOf('BINDING_TOP3', row.top3, n, where),
      ...shareOf('BINDING_TOP5', row.top5, n, where),
      plain('DIAGONAL_ACCURACY', row.diagonalAccuracy, where),
      plain('DIAGONAL_STRENGTH', row.diagonalStrength, where),
      ...(valueAccuracy === null ? [] : shareOf('VALUE_ACCURACY', valueAccuracy, n, where)),
      plain('FVU', row.fvu, where),
      plain('L0', row.l0, where),
      plain('DEAD_LATENTS', row.deadLatents, where),
    ];
  });
}

/** At the alpha chosen on validation. */
async function readSwaps(db: Executor, ids: readonly string[]): Promise<ByRun> {
  const { runId, chosen, population, split, control } = swapMeasures;
  const rows = await db
    .select()
    .from(swapMeasures)
    .where(and(inArray(runId, [...ids]), eq(chosen, true)))
    .orderBy(population, split, control);
  return toMap(rows, (row) => {
    const of = [
      { name: 'population', value: row.population },
      { name: 'edited', value: row.control },
    ];
    const where = { split: row.split, of, alpha: row.alpha };
    return share('SWAP_SUCCESS', row.successes, row.trials, where);
  });
}

async function readCells(db: Executor, ids: readonly string[]): Promise<ByRun> {
  const rows = await db
    .select()
    .from(sweepCells)
    .where(inArray(sweepCells.runId, [...ids]))
    .orderBy(asc(sweepCells.position));
  return toMap(rows, (row) => {
    const of = [
      { name: 'edited', value: row.edited },
      { name: 'method', value: row.method },
      { name: 'alpha', value: String(row.alpha) },
    ];
    return [
      ...share('SWAP_SUCCESS', row.successes, row.trials, { of }),
      ...share('PROMPT_ISOLATION', row.otherPromptsKept, row.otherPrompts, { of }),
      ...share('TEXT_ISOLATION', row.textsKept, row.texts, { of }),
      ...share('STATEMENT_ISOLATION', row.statementsKept, row.statements, { of }),
    ];
  });
}

/** At the alphas that TRAIN questions chose; alpha is no detail here, so that runs can be compared. */
async function readHopSwaps(db: Executor, ids: readonly string[]): Promise<ByRun> {
  const rows = await db
    .select()
    .from(hopSwaps)
    .where(inArray(hopSwaps.runId, [...ids]))
    .orderBy(asc(hopSwaps.position));
  return toMap(rows, ({ hop, edited, method, alpha, ...row }) => {
    const of = [
      { name: 'hop', value: String(hop) },
      { name: 'edited', value: edited },
      { name: 'method', value: method },
    ];
    const to = (pairs: string) => ({ alpha, of: [...of, { name: 'pairs', value: pairs }] });
    return [
      ...share('SWAP_SUCCESS', row.shownSuccesses, row.shownTrials, to('SHOWN')),
      ...share('SWAP_SUCCESS', row.withheldSuccesses, row.withheldTrials, to('WITHHELD')),
      ...share('PROMPT_ISOLATION', row.otherQuestionsKept, row.otherQuestions, { alpha, of }),
    ];
  });
}

async function readFaithfulness(db: Executor, ids: readonly string[]): Promise<ByRun> {
  const rows = await db
    .select()
    .from(faithfulness)
    .where(inArray(faithfulness.runId, [...ids]))
    .orderBy(asc(faithfulness.split), asc(faithfulness.replacement));
  return toMap(rows, ({ split, replacement, correct, prompts, crossEntropy }) => {
    const where = { split, of: [{ name: 'replacement', value: replacement }] };
    return [
      ...share('FAITHFUL_ACCURACY', correct, prompts, where),
      plain('CROSS_ENTROPY', crossEntropy, where),
    ];
  });
}

async function readLatents(db: Executor, ids: readonly string[]): Promise<ByRun> {
  const rows = await db
    .select({ ...{ runId: conceptLatents.runId, latent: conceptLatents }, key: concepts.key })
    .from(conceptLatents)
    .innerJoin(concepts, eq(concepts.id, conceptLatents.conceptId))
    .where(inArray(conceptLatents.runId, [...ids]))
    .orderBy(asc(concepts.position));
  return toMap(rows, ({ latent, key }) => {
    const where = { of: [{ name: 'concept', value: key }] };
    const { separability, heldOutSeparability, fragmentation } = latent;
    return [
      plain('SEPARABILITY', separability, { ...where, split: 'TRAIN' }),
      ...(heldOutSeparability === null
        ? []
        : [plain('SEPARABILITY', heldOutSeparability, { ...where, split: 'TEST_OOD' })]),
      plain('FRAGMENTATION', fragmentation, { ...where, split: 'TRAIN' }),
    ];
  });
}
