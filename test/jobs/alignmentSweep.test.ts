import { eq } from 'drizzle-orm';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { readEvents } from '../../src/db/queries/events.ts';
import { runs } from '../../src/db/tables/index.ts';
import { startAlignmentSweep } from '../../src/runs/alignmentSweep.ts';
import { bindingByLayer } from '../../src/runs/layerTable.ts';
import { startModelRun } from '../../src/runs/model.ts';
import { cancelRun } from '../../src/services/run.ts';
import { type Farm, openFarm, processGone } from './farm.ts';

const STAGE = { steps: 5, batchSize: 16 };
const SETTINGS = {
  ...{ preset: 'COUNTERFACTUAL' as const, nFree: 16, alphas: [1], swapTrials: 4 },
  ...{ pretrain: STAGE, posttrain: STAGE },
};
let farm: Farm;
let modelId: string;

beforeAll(async () => {
  farm = await openFarm();
  await farm.startWorker();
  const { id } = await startModelRun(farm.database.db, {
    datasetId: farm.datasetId,
    settings: { nLayers: 1, nHeads: 2, dModel: 16, steps: 20, batchSize: 16 },
  });
  modelId = (await farm.ended(id)).modelId!;
}, 120_000);
afterAll(() => farm.close());

const partsOf = (sweepId: string) =>
  farm.database.db.select().from(runs).where(eq(runs.parentId, sweepId)).orderBy(runs.id);

test('two workers share the parts of a sweep, whose table shows them all at the end', async () => {
  const { db } = farm.database;
  await farm.startWorker();
  const { id } = await startAlignmentSweep(db, { modelId, seeds: [0, 1], settings: SETTINGS });
  const run = await farm.ended(id);
  expect(run).toMatchObject({ status: 'SUCCEEDED', progress: 1, attempt: 0, workerId: null });
  const parts = await partsOf(id);
  expect(parts.map(({ status }) => status)).toEqual(Array(4).fill('SUCCEEDED'));
  expect(new Set(parts.map(({ workerId }) => workerId)).size).toBe(2);
  const table = await bindingByLayer(db, run, 'TRAIN');
  expect(table.map(({ layer, part }) => [layer, part?.seed])).toEqual([
    ...[
      [-1, 0],
      [-1, 1],
      [-1, undefined],
    ],
    ...[
      [0, 0],
      [0, 1],
      [0, undefined],
    ],
  ]);
  const told = (await readEvents(db, id, 0, 1000)).flatMap((e) => (e.type === 'PART' ? e.partId : []));
  expect(told.sort()).toEqual(parts.map((part) => part.id));
}, 120_000);

test('cancelling a sweep ends the engines of its parts', async () => {
  const { db } = farm.database;
  await farm.stopWorkers();
  const worker = await farm.startWorker({ concurrency: 2 });
  const endless = { ...SETTINGS, pretrain: { ...STAGE, steps: 1_000_000 } };
  const { id } = await startAlignmentSweep(db, { modelId, seeds: [0, 1], settings: endless });
  const pids = await farm.waitFor(async () => worker.enginePids.length === 2 && worker.enginePids);
  await cancelRun(db, id);
  await Promise.all(pids.map(processGone));
  const parts = await partsOf(id);
  expect(parts.map(({ status }) => status)).toEqual(Array(4).fill('CANCELLED'));
}, 120_000);
