/** Tables of runs: what a row says, and how the list is filtered, searched and ordered. */
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { appendMetrics } from '../../src/db/queries/events.ts';
import { listRuns } from '../../src/db/queries/runs.ts';
import { ALIGNMENT_PRESETS } from '../../src/engine/contract/alignmentPresets.ts';
import { encodeGlobalId } from '../../src/schema/ids.ts';
import { label } from '../../src/services/labels.ts';
import { insertDataset, insertModel, insertQueuedRun, insertRunningRun } from '../helpers/fixtures.ts';
import { type Api, openApi } from './api.ts';

let api: Api;
let datasetId: string;
beforeAll(async () => {
  api = await openApi();
  datasetId = await insertDataset(api.database.db);
});
afterAll(() => api.close());

const RUNS = `query ($filter: RunFilter, $orderBy: RunOrder) {
  runs(first: 50, filter: $filter, orderBy: $orderBy) { edges { node { id name } } }
}`;
const namesOf = async (filter: object, orderBy?: object) => {
  const { runs } = await api.ask(RUNS, { filter, orderBy });
  return runs.edges.map(({ node }: { node: { name: string } }) => node.name);
};

test('a row has its model, the newest figures and what of its settings is not the preset', async () => {
  const { db } = api.database;
  const modelId = await insertModel(db, datasetId);
  const settings = { ...ALIGNMENT_PRESETS.COUNTERFACTUAL, nFree: 512, seed: 7 };
  const run = await insertRunningRun(db, { kind: 'ALIGNMENT', datasetId, modelId, settings });
  const row = (step: number, values: Record<string, number>) => ({ step, at: Date.now(), values });
  await appendMetrics(db, run.claim, [row(1, { loss: 3, l0: 4 }), row(2, { loss: 2 })]);
  await appendMetrics(db, run.claim, [
    row(2, { loss: 2 }),
    row(3, { loss: Number.NaN, 'validation/binding/birth': 1 }),
  ]);
  const id = encodeGlobalId('AlignmentRun', run.id);
  const { run: shown } = await api.ask(
    `query ($id: ID!) { run(id: $id) {
      model { id } mainMetric { name value step metric { label unit better group } }
      lastMetrics { name value step } changedSettings { key value default } settingValues { key value }
    } }`,
    { id },
  );
  expect(shown.model).toEqual({ id: encodeGlobalId('Model', modelId) });
  expect(shown.mainMetric).toEqual({
    name: 'loss',
    value: null,
    step: 3,
    metric: { label: 'training loss', unit: null, better: 'LOWER', group: 'loss' },
  });
  expect(shown.lastMetrics).toEqual([
    { name: 'l0', value: 4, step: 1 },
    { name: 'loss', value: null, step: 3 },
  ]);
  expect(shown.changedSettings).toEqual([
    { key: 'seed', value: '7', default: '0' },
    { key: 'nFree', value: '512', default: '1024' },
  ]);
  expect(shown.settingValues).toContainEqual({ key: 'weights.counterfactual', value: '3' });
});

test('runs are filtered by tag, words and time, and words are no patterns', async () => {
  const { db } = api.database;
  const make = async (name: string, labels: { tags?: string[]; notes?: string }) => {
    const run = await insertQueuedRun(db, { datasetId });
    await label(db, 'Run', run.id, { name, ...labels });
    return run;
  };
  await make('first Look', { tags: ['keep', 'a_b'], notes: '100% done' });
  await make('second look', { tags: ['keep'] });
  const last = await make('third', { notes: 'LOOK here' });
  const tag = { tag: 'keep' };
  expect(await namesOf(tag)).toEqual(['second look', 'first Look']);
  expect(await namesOf({ text: 'look' })).toEqual(['third', 'second look', 'first Look']);
  expect(await namesOf({ text: 'look FIRST' })).toEqual(['first Look']);
  expect(await namesOf({ text: '%' })).toEqual(['first Look']);
  expect(await namesOf({ text: 'aXb' })).toEqual([]);
  expect(await namesOf({ ...tag, since: last.createdAt.toISOString() })).toEqual([]);
  expect(await namesOf({ since: last.createdAt.toISOString() })).toEqual(['third']);
  expect(await namesOf(tag, { field: 'NAME', direction: 'ASC' })).toEqual(['first Look', 'second look']);
  expect(await namesOf(tag, { field: 'NAME', direction: 'DESC' })).toEqual(['second look', 'first Look']);
});

test('an instant that is none is refused, and the message says what one looks like', async () => {
  for (const since of ['yesterday', '2026-01-31', 7, '2026-13-01T00:00:00Z', '+012026-01-01T00:00:00Z']) {
    const { errors } = await api.answer(RUNS, { filter: { since } });
    expect(errors?.[0]?.message, String(since)).toContain('2026-01-31T09:30:00.000Z');
  }
  expect(await namesOf({ since: '9000-01-01T01:30:00+01:30' })).toEqual([]);
});

test('pages in any order stay right while runs come in, and cursors of one order are refused by another', async () => {
  const { db } = api.database;
  const other = await insertDataset(db);
  for (const name of ['b', 'd', 'f']) {
    const { id } = await insertQueuedRun(db, { datasetId: other });
    await label(db, 'Run', id, { name });
  }
  const order = { field: 'NAME', direction: 'asc' } as const;
  const first = await listRuns(db, { datasetId: other }, { first: 2 }, order);
  for (const name of ['a', 'e']) {
    const { id } = await insertQueuedRun(db, { datasetId: other });
    await label(db, 'Run', id, { name });
  }
  const after = first.pageInfo.endCursor;
  const next = await listRuns(db, { datasetId: other }, { first: 5, after }, order);
  expect(next.edges.map(({ node }) => node.name)).toEqual(['e', 'f']);
  await expect(listRuns(db, {}, { after })).rejects.toThrow('not a cursor of this list');
});

test('the series of many runs are read in as many statements as those of one, each run its own', async () => {
  const { db, pool } = api.database;
  const dataset = await insertDataset(db);
  for (const scale of [1, 2, 3]) {
    const run = await insertRunningRun(db, { datasetId: dataset });
    const values = (step: number) => ({ loss: step * scale, l0: 0 });
    await appendMetrics(
      db,
      run.claim,
      [1, 2, 3, 4, 5, 6].map((step) => ({ step, at: 0, values: values(step) })),
    );
  }
  await insertQueuedRun(db, { datasetId: dataset });
  const SPARKS = `query ($datasetId: ID!, $first: Int!) { runs(first: $first, filter: { datasetId: $datasetId }) {
    edges { node { metrics(names: ["loss", "none"], maxPoints: 4) { name points { step value } } } }
  } }`;
  const ask = async (first: number) => {
    const statements = vi.spyOn(pool, 'query');
    const { runs } = await api.ask(SPARKS, { datasetId: encodeGlobalId('Dataset', dataset), first });
    const { length } = statements.mock.calls;
    statements.mockRestore();
    return { length, series: runs.edges.map(({ node }: { node: { metrics: unknown } }) => node.metrics) };
  };
  const few = await ask(2);
  const all = await ask(4);
  expect(all.length).toBe(few.length);
  const series = (scale: number) => {
    const points = [1, 6].map((step) => ({ step, value: step * scale }));
    return [{ name: 'loss', points: expect.arrayContaining(points) }];
  };
  expect(all.series).toEqual([[], series(3), series(2), series(1)]);
});
