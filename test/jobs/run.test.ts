import { eq } from 'drizzle-orm';
import { afterAll, afterEach, beforeAll, expect, test, vi } from 'vitest';
import { readCheckpoint } from '../../src/db/queries/checkpoints.ts';
import { readEvents } from '../../src/db/queries/events.ts';
import { readRun } from '../../src/db/queries/runs.ts';
import { artifacts, models } from '../../src/db/tables/index.ts';
import type { ModelSettingsInput } from '../../src/engine/contract/modelSettings.ts';
import { startModelRun } from '../../src/runs/model.ts';
import { cancelRun } from '../../src/services/run.ts';
import { startTracing } from '../../src/tracing.ts';
import { startCollector } from '../helpers/collector.ts';
import { silentLog } from '../helpers/log.ts';
import { type Farm, openFarm, processGone, readValues, workFiles } from './farm.ts';

const SETTINGS = {
  ...{ nLayers: 1, nHeads: 2, dModel: 16, steps: 60, batchSize: 16, warmupSteps: 10, logEvery: 1 },
};
/** Trains until somebody ends it. */
const ENDLESS = { steps: 1_000_000 };
let farm: Farm;

const startRun = (settings: ModelSettingsInput = {}) =>
  startModelRun(farm.database.db, { datasetId: farm.datasetId, settings: { ...SETTINGS, ...settings } });
const status = async (runId: string) => (await readRun(farm.database.db, runId))!.status;

beforeAll(async () => {
  farm = await openFarm();
});
afterEach(() => farm.stopWorkers());
afterAll(() => farm.close());

test('a model run ends with a model, its weights in the store, its events numbered without gaps, and spans', async () => {
  const { db } = farm.database;
  const collector = await startCollector();
  vi.stubEnv('OTEL_EXPORTER_OTLP_ENDPOINT', collector.url);
  const tracing = startTracing('worker', silentLog);
  await farm.startWorker();
  const { id } = await startRun();
  const run = await farm.ended(id);
  expect(run).toMatchObject({ status: 'SUCCEEDED', phase: 'DONE', progress: 1, errorCode: null });
  const [model] = await db.select().from(models).where(eq(models.id, run.modelId!));
  expect(model!.artifactHash).toBe(run.artifactHash);
  await farm.store.path(run.artifactHash!);
  const values = await readValues(farm, id);
  for (let step = 1; step <= SETTINGS.steps; step++) expect(values.get(`loss ${step}`)).toBeGreaterThan(0);
  const events = await readEvents(db, id, 0, 1000);
  expect(events.map(({ seq }) => seq)).toEqual(events.map((_, i) => i + 1));
  await farm.stopWorkers();
  await tracing.stop(5000);
  await collector.close();
  const whole = collector.spans.find(({ name }) => name === 'run MODEL')!;
  expect(whole.attributes).toMatchObject({ 'alignsae.run.id': id, 'alignsae.run.outcome': 'SUCCEEDED' });
  const phases = collector.spans.filter(({ parentSpanId }) => parentSpanId === whole.spanId);
  expect(phases.map(({ name }) => name)).toEqual(['phase STARTING', 'phase TRAIN', 'phase EVALUATE']);
  expect(phases.every(({ traceId }) => traceId === whole.traceId)).toBe(true);
});

test('cancelling a run that trains ends its engine and leaves nothing', async () => {
  const worker = await farm.startWorker();
  const { id } = await startRun(ENDLESS);
  await farm.waitFor(() => readCheckpoint(farm.database.db, id));
  const enginePid = worker.enginePids[0]!;
  expect(await cancelRun(farm.database.db, id)).toMatchObject({ status: 'CANCELLED' });
  await processGone(enginePid);
  const before = await readValues(farm, id);
  await farm.stopWorkers();
  expect(await readRun(farm.database.db, id)).toMatchObject({ status: 'CANCELLED', artifactHash: null });
  expect(await readValues(farm, id)).toEqual(before);
  expect(await workFiles(farm)).toEqual([]);
  expect(await farm.database.db.select().from(artifacts).where(eq(artifacts.kind, 'CHECKPOINT'))).toEqual([]);
  await expect(cancelRun(farm.database.db, id)).rejects.toMatchObject({ code: 'CONFLICT' });
});

test('two workers share the queue, and a cancelled run that waited is never begun', async () => {
  await Promise.all([farm.startWorker(), farm.startWorker()]);
  const [first, second] = [await startRun(ENDLESS), await startRun(ENDLESS)];
  const workerIds = await farm.waitFor(async () => {
    const runs = await Promise.all([first, second].map(({ id }) => readRun(farm.database.db, id)));
    return runs.every((run) => run!.status === 'RUNNING') && runs.map((run) => run!.workerId);
  });
  expect(new Set(workerIds).size).toBe(2);
  const third = await startRun(ENDLESS);
  const fourth = await startRun();
  await cancelRun(farm.database.db, third.id);
  await cancelRun(farm.database.db, first.id);
  expect((await farm.ended(fourth.id)).status).toBe('SUCCEEDED');
  expect(await readRun(farm.database.db, third.id)).toMatchObject({ status: 'CANCELLED', attempt: 0 });
  expect(await status(second.id)).toBe('RUNNING');
  await cancelRun(farm.database.db, second.id);
});

test('what the engine refuses fails the run with its code and words', async () => {
  await farm.startWorker();
  const { id } = await startRun({ nCtx: 4 });
  const run = await farm.ended(id);
  expect(run).toMatchObject({ status: 'FAILED', errorCode: 'INVALID_INPUT', modelId: null });
  expect(run.errorMessage).toMatch(/nCtx/);
});

test('a worker that is stopped as it takes a run leaves it waiting', async () => {
  const { db } = farm.database;
  await farm.startWorker();
  const { id } = await startRun(ENDLESS);
  await farm.waitFor(async () => (await status(id)) === 'RUNNING');
  await farm.stopWorkers();
  expect(await readRun(db, id)).toMatchObject({ status: 'QUEUED', workerId: null, attempt: 1 });
  await farm.startWorker();
  await farm.waitFor(async () => (await readRun(db, id))!.attempt === 2);
  await cancelRun(db, id);
});
