import { asc, eq } from 'drizzle-orm';
import { afterAll, afterEach, beforeAll, expect, inject, test } from 'vitest';
import { readCheckpoint } from '../../src/db/queries/checkpoints.ts';
import type { Run } from '../../src/db/queries/runs.ts';
import { concepts, slots, splitMeasures, swapMeasures } from '../../src/db/tables/index.ts';
import type { AlignmentSettingsInput } from '../../src/engine/contract/alignmentSettings.ts';
import type { SwapCall } from '../../src/engine/contract/swap.ts';
import { EngineCalls } from '../../src/jobs/calls.ts';
import { startAlignmentRun } from '../../src/runs/alignment.ts';
import { startModelRun } from '../../src/runs/model.ts';
import { loadModelRef } from '../../src/runs/studied.ts';
import { silentLog } from '../helpers/log.ts';
import { type Farm, openFarm, processGone, readValues, workFiles } from './farm.ts';

const MODEL = { nLayers: 2, nHeads: 2, dModel: 16, steps: 40, batchSize: 16, warmupSteps: 10 };
const ALIGNMENT: AlignmentSettingsInput = {
  ...{ layer: 0, nFree: 24, valueHidden: 8, alphas: [1, 2], swapTrials: 10, logEvery: 1 },
  pretrain: { steps: 20, batchSize: 32 },
  posttrain: { steps: 60, batchSize: 32 },
};
let farm: Farm;
let modelId: string;
let first: Run;

const startRun = () => startAlignmentRun(farm.database.db, { modelId, settings: ALIGNMENT });

beforeAll(async () => {
  farm = await openFarm({ people: 10 });
  await farm.startWorker();
  const { db } = farm.database;
  const model = await farm.ended(
    (await startModelRun(db, { datasetId: farm.datasetId, settings: MODEL })).id,
  );
  modelId = model.modelId!;
  first = await farm.ended((await startRun()).id);
});
afterEach(() => farm.stopWorkers());
afterAll(() => farm.close());

test('an alignment run ends with its SAE, its measures and one slot a concept', async () => {
  const { db } = farm.database;
  expect(first).toMatchObject({ status: 'SUCCEEDED', kind: 'ALIGNMENT', modelId, errorMessage: null });
  await farm.store.path(first.artifactHash!);
  const bound = await db
    .select({ index: slots.index, position: concepts.position })
    .from(slots)
    .innerJoin(concepts, eq(concepts.id, slots.conceptId))
    .where(eq(slots.runId, first.id))
    .orderBy(asc(slots.index));
  expect(bound).toEqual([0, 1, 2, 3, 4, 5].map((position) => ({ index: 24 + position, position })));
  const measures = await db.select().from(splitMeasures).where(eq(splitMeasures.runId, first.id));
  expect(measures.map(({ split }) => split).sort()).toEqual(['TEST_OOD', 'TRAIN', 'VALIDATION']);
  const swaps = await db.select().from(swapMeasures).where(eq(swapMeasures.runId, first.id));
  const { chosenAlpha } = first.result as { chosenAlpha: number };
  for (const { alpha, chosen } of swaps) expect(chosen).toBe(alpha === chosenAlpha);
  expect(new Set(swaps.map(({ control }) => control))).toEqual(
    new Set(['CONCEPT', 'RANDOM_LATENT', 'SUM', 'TRUE_ACTIVATION']),
  );
});

test('an alignment run whose engine is killed ends as if it never was', async () => {
  const worker = await farm.startWorker();
  const { id } = await startRun();
  await farm.waitFor(() => readCheckpoint(farm.database.db, id));
  process.kill(worker.enginePids[0]!, 'SIGKILL');
  const run = await farm.ended(id);
  await farm.stopWorkers();
  expect(run).toMatchObject({ artifactHash: first.artifactHash, result: first.result });
  expect(await readValues(farm, id)).toEqual(await readValues(farm, first.id));
  expect(await workFiles(farm)).toEqual([]);
});

test('calls are answered by one engine, which is forked anew after a crash and gone after stop', async () => {
  const calls = new EngineCalls({ backend: 'auto', native: inject('native'), log: silentLog });
  const swap: SwapCall = {
    ...{
      prompt: 'where was',
      source: 0,
      target: 1,
      method: 'LATENT_DECODE',
      alpha: 1,
      placement: 'LAST_TOKEN',
      maxNewTokens: 2,
    },
    model: await loadModelRef(farm.database.db, farm.store, modelId),
    sae: await farm.store.path(first.artifactHash!),
  };
  const [answer, again] = await Promise.all([calls.call('swap', swap), calls.call('swap', swap)]);
  expect(answer).toMatchObject({ source: 0, target: 1 });
  expect(again).toEqual(answer);
  expect(await calls.info()).toEqual(farm.info);
  await expect(calls.call('swap', { ...swap, target: 99 })).rejects.toMatchObject({
    code: 'INVALID_INPUT',
    path: ['target'],
  });
  const crashed = calls.call('swap', swap);
  process.kill(calls.enginePid!, 'SIGKILL');
  await expect(crashed).rejects.toMatchObject({ code: 'UNAVAILABLE' });
  expect(await calls.call('swap', swap)).toEqual(answer);
  const pid = calls.enginePid!;
  await calls.stop();
  await processGone(pid);
  await expect(calls.call('swap', swap)).rejects.toMatchObject({ code: 'UNAVAILABLE' });
});

test('a call that takes too long ends with its engine; an engine without calls is let go', async () => {
  const options = { backend: 'auto', native: inject('native'), log: silentLog } as const;
  const hurried = new EngineCalls({ ...options, callTimeoutMs: 1 });
  const swap = { model: await loadModelRef(farm.database.db, farm.store, modelId) } as SwapCall;
  await expect(hurried.call('swap', swap)).rejects.toMatchObject({
    code: 'UNAVAILABLE',
    message: /longer than 1 ms/,
  });
  await hurried.stop();
  const restless = new EngineCalls({ ...options, idleMs: 1 });
  await restless.call('swap', swap).catch(() => {});
  await expect.poll(() => restless.enginePid).toBeNull();
  await restless.stop();
});
