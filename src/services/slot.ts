/** Slots of alignment runs and the measures taken of them. */
import { asc, desc, eq, inArray } from 'drizzle-orm';
import type { Executor } from '../db/client.ts';
import { readByIds, readGroups } from '../db/queries/byIds.ts';
import { type MetricSeries, readMetrics } from '../db/queries/metrics.ts';
import { type Page, type PageArgs, readPages } from '../db/queries/page.ts';
import {
  concepts,
  datasets,
  runs,
  slotKnocks,
  slots,
  splitMeasures,
  swapMeasures,
} from '../db/tables/index.ts';
import { bindingMetric } from '../engine/contract/alignment.ts';

export type Slot = typeof slots.$inferSelect;
export type SplitMeasures = typeof splitMeasures.$inferSelect;
export type SwapMeasure = typeof swapMeasures.$inferSelect;
export type SlotKnock = typeof slotKnocks.$inferSelect;

/** For each id its slot, or null. */
export function slotsByIds(db: Executor, ids: readonly string[]): Promise<(Slot | null)[]> {
  return readByIds(db, slots, slots.id, ids);
}

/** For each run one page of its slots, by latent index. */
export function pageSlotsOfRuns(
  db: Executor,
  runIds: readonly string[],
  args: PageArgs,
): Promise<Map<string, Page<Slot>>> {
  const order = { columns: [slots.index], direction: 'asc' } as const;
  return readPages(db, slots, { by: slots.runId, values: runIds, order }, args);
}

/** For each concept one page of the slots that runs have bound to it. */
export function pageSlotsOfConcepts(
  db: Executor,
  conceptIds: readonly string[],
  args: PageArgs,
): Promise<Map<string, Page<Slot>>> {
  const order = { columns: [slots.id], direction: 'asc' } as const;
  return readPages(db, slots, { by: slots.conceptId, values: conceptIds, order }, args);
}

/** For each run the binding and reconstruction of each split that was measured. */
export function measuresOfRuns(db: Executor, runIds: readonly string[]): Promise<SplitMeasures[][]> {
  return readGroups(db, splitMeasures, splitMeasures.runId, runIds, [splitMeasures.split]);
}

/** For each run its swap success, with the controls, by population, split and alpha. */
export function swapsOfRuns(db: Executor, runIds: readonly string[]): Promise<SwapMeasure[][]> {
  const { control, population, split, alpha } = swapMeasures;
  return readGroups(db, swapMeasures, swapMeasures.runId, runIds, [control, population, split, alpha]);
}

/** For each run what its slots do to answers one by one, in the order of the ontology, KNOCK_OUT before KNOCK_IN. */
export async function knocksOfRuns(db: Executor, runIds: readonly string[]): Promise<SlotKnock[][]> {
  const rows = await db
    .select({ knock: slotKnocks })
    .from(slotKnocks)
    .innerJoin(concepts, eq(concepts.id, slotKnocks.conceptId))
    .where(inArray(slotKnocks.runId, [...runIds]))
    .orderBy(asc(concepts.position), desc(slotKnocks.edit));
  return runIds.map((id) => rows.flatMap(({ knock }) => (knock.runId === id ? [knock] : [])));
}

/** For each run the concepts of its dataset's ontology, in their order there, which is that of the slots. */
export async function conceptsOfRuns(db: Executor, runIds: readonly string[]) {
  const rows = await db
    .select({ runId: runs.id, concept: concepts })
    .from(runs)
    .innerJoin(datasets, eq(datasets.id, runs.datasetId))
    .innerJoin(concepts, eq(concepts.ontologyId, datasets.ontologyId))
    .where(inArray(runs.id, [...runIds]))
    .orderBy(asc(concepts.position));
  return runIds.map((id) => rows.filter((row) => row.runId === id).map((row) => row.concept));
}

/** For each key `<run id>/<latent index>` its slot, or null. */
export async function slotsByIndex(db: Executor, keys: readonly string[]): Promise<(Slot | null)[]> {
  const runIds = [...new Set(keys.map((key) => key.split('/')[0]!))];
  const rows = await db.select().from(slots).where(inArray(slots.runId, runIds));
  const found = new Map(rows.map((slot) => [`${slot.runId}/${slot.index}`, slot]));
  return keys.map((key) => found.get(key) ?? null);
}

/** Points of one slot's history; longer ones are thinned. */
const HISTORY_POINTS = 500;

/** For each key `<run id>/<concept key>` the binding accuracy of that concept's validation prompts through training. */
export async function bindingHistories(
  db: Executor,
  keys: readonly string[],
): Promise<MetricSeries['points'][]> {
  const pairs = keys.map((key) => key.split('/') as [string, string]);
  const histories = new Map<string, MetricSeries['points']>();
  for (const runId of new Set(pairs.map(([id]) => id))) {
    const names = pairs.filter(([id]) => id === runId).map(([, key]) => bindingMetric(key));
    for (const { name, points } of await readMetrics(db, runId, names, HISTORY_POINTS))
      histories.set(`${runId}/${name}`, points);
  }
  return pairs.map(([runId, key]) => histories.get(`${runId}/${bindingMetric(key)}`) ?? []);
}
