import { eq } from 'drizzle-orm';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { storeLastBindings, storePoint } from '../../src/db/queries/grokking.ts';
import { claimRun, finishRun, type Run } from '../../src/db/queries/runs.ts';
import { runs } from '../../src/db/tables/index.ts';
import { decodeGlobalId, encodeGlobalId } from '../../src/schema/ids.ts';
import { insertModel, insertWorker } from '../helpers/fixtures.ts';
import { storeTwoHops } from '../helpers/twoHops.ts';
import { type Api, type Data, openApi } from './api.ts';
import { contract } from './contract.ts';

let api: Api;
let datasetId: string;
beforeAll(async () => {
  api = await openApi();
  datasetId = await storeTwoHops(api.database.db);
});
afterAll(() => api.close());

/** Held-out questions right of 100 and diagonal strengths, step by step. */
const MEASURED = [
  { step: 0, train: 3, heldOut: 0, strengths: [0.5, 0.5], direction: [0, 1] },
  { step: 100, train: 95, heldOut: 40, strengths: [1, 0.8], direction: [1, 1] },
  { step: 400, train: 100, heldOut: 95, strengths: [1, 0.9], direction: [2, 0] },
];

async function measure(run: Run, { step, ...at }: (typeof MEASURED)[0]): Promise<void> {
  const { db } = api.database;
  const worker = await insertWorker(db);
  const claimed = await claimRun(db, { runId: run.id, workerId: worker.id, backend: 'wasm' });
  const values = {
    ...{ trainQuestions: 100, trainCorrect: at.train, heldOutQuestions: 100, heldOutCorrect: at.heldOut },
    ...{ at: new Date(1e12 + step), loss: 1, weightNorm: 2, logitMargin: Number.NaN },
  };
  const hops = at.strengths.map((strength, i) => ({
    ...{ hop: i + 1, top1: strength, top3: 1, top5: 1, diagonalStrength: strength, ablationEffect: 0.25 },
    ...{ matrix: [[strength]], directions: at.direction },
  }));
  await db.transaction(async (tx) => {
    await storePoint(tx, run, values, hops);
    await finishRun(tx, { runId: run.id, attempt: claimed!.attempt }, {});
  });
}

const START = contract('StartGrokkingRun');
const DETAILS = /* GraphQL */ `
  query ($id: ID!) {
    run(id: $id) {
      kind status
      ... on GrokkingRun {
        steps stoppedAt lastSae trainingRun { id } modelSettings { steps } analysisSettings { layer }
        stopRule { measure threshold checkpoints }
        onset { memorization generalization binding gap }
        analysisRuns(first: 2) { totalCount edges { node { step status model { id } parent { id } } } }
        points {
          step trainAccuracy oneHopAccuracy logitMargin oneHop { trials }
          heldOut { successes trials interval { low high } }
          binding { hop ablationEffect matrix concepts { key } slotCosines top1Rate { successes trials } }
          bindingByLast { hop diagonalStrength slotCosines top1Rate { successes trials } }
        }
      }
    }
  }
`;

test('a grokking run over given models tells points in order, onsets as they come, and cosines at the end', async () => {
  const { db } = api.database;
  const models = await Promise.all(
    MEASURED.map(async ({ step }) => ({
      ...{ step, modelId: encodeGlobalId('Model', await insertModel(db, datasetId)) },
    })),
  );
  const stop = { measure: 'HELD_OUT_ACCURACY', threshold: 0.99 };
  const { startGrokkingRun } = await api.ask(START, {
    input: { models, settings: { stop, analysis: { layer: 1 } } },
  });
  const { id } = startGrokkingRun.run;
  const parts = await db
    .select()
    .from(runs)
    .where(eq(runs.parentId, decodeGlobalId(id).id))
    .orderBy(runs.step);
  const details = async (): Promise<Data> => (await api.ask(DETAILS, { id })).run;

  await measure(parts[1]!, MEASURED[1]!);
  expect((await details()).points).toEqual([]);
  await measure(parts[0]!, MEASURED[0]!);
  expect(await details()).toMatchObject({
    ...{
      status: 'RUNNING',
      steps: [0, 100, 400],
      stoppedAt: null,
      lastSae: false,
      trainingRun: null,
      modelSettings: null,
    },
    stopRule: { ...stop, checkpoints: 1 },
    analysisSettings: { layer: 1 },
    onset: { memorization: 100, generalization: null, binding: null, gap: null },
    analysisRuns: { totalCount: 3, edges: [{ node: { step: 0, parent: { id } } }, { node: { step: 100 } }] },
    points: [{ step: 0, binding: [{ slotCosines: null }, {}] }, { step: 100 }],
  });
  const byLast = { top1: 0.25, top3: 1, top5: 1, diagonalStrength: 0.3, ablationEffect: 0, matrix: [[0.25]] };
  await storeLastBindings(db, parts[0]!.parentId!, [{ ...byLast, step: 100, hop: 1 }]);
  await measure(parts[2]!, MEASURED[2]!);
  const { onset, points, status } = await details();
  expect(status).toBe('SUCCEEDED');
  expect(onset).toEqual({ memorization: 100, generalization: 400, binding: 400, gap: 300 });
  expect(points[1]).toMatchObject({
    ...{ trainAccuracy: 0.95, oneHopAccuracy: null, oneHop: null, logitMargin: null },
    heldOut: { successes: 40, trials: 100, interval: { low: expect.closeTo(0.3094, 3) } },
  });
  expect(points[1].binding[1]).toMatchObject({
    concepts: [{ key: expect.any(String) }, ...Array(points[1].binding[1].concepts.length - 1).fill({})],
    ...{ hop: 2, ablationEffect: 0.25, matrix: [[0.8]], top1Rate: { successes: 80, trials: 100 } },
  });
  expect(points.map(({ bindingByLast }: Data) => bindingByLast)).toEqual([
    [],
    [{ hop: 1, diagonalStrength: 0.3, slotCosines: null, top1Rate: { successes: 25, trials: 100 } }],
    [],
  ]);
  expect(points.map(({ binding }: Data) => binding[0].slotCosines[0])).toEqual([
    0,
    expect.closeTo(Math.SQRT1_2, 6),
    1,
  ]);

  const seen: Data[] = [];
  for await (const { data } of await api.subscribe(contract('Grokking'), { id })) seen.push(data.grokking);
  expect(seen.map(({ point }) => point.step)).toEqual([0, 100, 400]);
  expect(seen[1].at).toBe(new Date(1e12 + 100).toISOString());
  const rest: Data[] = [];
  for await (const { data } of await api.subscribe(contract('Grokking'), { id, after: seen[0].cursor }))
    rest.push(data.grokking);
  expect(rest).toEqual(seen.slice(1));
});

test('other runs are no grokking runs, and what is missing is said', async () => {
  const other = encodeGlobalId('ModelRun', '00000000-0000-4000-8000-000000000000');
  await expect(api.subscribe(contract('Grokking'), { id: other })).rejects.toThrow('accepted is GrokkingRun');
  expect((await api.ask(START, { input: {} })).startGrokkingRun).toEqual({
    ...{ __typename: 'InputError', path: ['datasetId'] },
    message: 'datasetId, modelRunId or models must be given',
  });
});
