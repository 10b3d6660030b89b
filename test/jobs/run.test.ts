import { eq } from 'drizzle-orm';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { readEvents } from '../../src/db/queries/events.ts';
import { models } from '../../src/db/tables.ts';
import { startModelRun } from '../../src/services/run.ts';
import { type Farm, openFarm, readValues, workFiles } from './farm.ts';

const SETTINGS = {
  nLayers: 1,
  nHeads: 2,
  dModel: 16,
  steps: 60,
  batchSize: 16,
  warmupSteps: 10,
  logEvery: 1,
};
let farm: Farm;

beforeAll(async () => {
  farm = await openFarm();
  await farm.startWorker();
});
afterAll(() => farm.close());

test('a model run ends with a model, its weights in the store and its metrics in order', async () => {
  const { db } = farm.database;
  const { id } = await startModelRun(db, { datasetId: farm.datasetId, settings: SETTINGS });
  const run = await farm.ended(id);
  expect(run).toMatchObject({ status: 'SUCCEEDED', phase: 'DONE', progress: 1, errorCode: null });
  const [model] = await db.select().from(models).where(eq(models.id, run.modelId!));
  expect(model!.artifactHash).toBe(run.artifactHash);
  await farm.store.path(run.artifactHash!);
  const values = await readValues(farm, id);
  for (let step = 1; step <= SETTINGS.steps; step++) expect(values.get(`loss ${step}`)).toBeGreaterThan(0);
  const events = await readEvents(db, id, 0, 1000);
  expect(events.map(({ seq }) => seq)).toEqual(events.map((_, i) => i + 1));
  expect(await workFiles(farm)).toEqual([]);
});
