import { eq } from 'drizzle-orm';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Database } from '../../src/db/client.ts';
import { runs } from '../../src/db/tables/index.ts';
import { prepareQueue } from '../../src/jobs/queue.ts';
import { startGrokkingRun } from '../../src/runs/grokking.ts';
import { startHopSwapRun } from '../../src/runs/hopSwap.ts';
import { generateDataset } from '../../src/services/datasetCreation.ts';
import { createTestDatabase } from '../helpers/database.ts';
import { finishQueuedRun, insertModel } from '../helpers/fixtures.ts';
import { silentLog } from '../helpers/log.ts';
import { storeTwoHops } from '../helpers/twoHops.ts';

let database: Database;
let datasetId: string;
let modelId: string;
beforeAll(async () => {
  database = await createTestDatabase();
  await prepareQueue(database.pool, silentLog);
  datasetId = await storeTwoHops(database.db);
  modelId = await insertModel(database.db, datasetId);
});
afterAll(() => database.close());

test('what cannot be swapped is refused with its path', async () => {
  const { db } = database;
  const biographies = (await generateDataset(db, { people: 1 })).id;
  const other = await insertModel(db, biographies);
  const grokking = await startGrokkingRun(db, { models: [{ modelId, step: 5 }] });
  const [analysis] = await db.select().from(runs).where(eq(runs.parentId, grokking.id));
  for (const [input, path, message] of [
    [{}, 'runId', 'must be given'],
    [{ runId: grokking.id, modelId }, 'modelId', 'exclude'],
    [{ runId: analysis!.id }, 'runId', 'CHECKPOINT_ANALYSIS'],
    [{ runId: grokking.id }, 'runId', 'no checkpoint; so far: none'],
    [{ runId: grokking.id, step: 7 }, 'step', 'no checkpoint at step 7'],
    [{ runId: grokking.id, analysis: {} }, 'analysis', 'leave it out'],
    [{ runId: grokking.id, datasetId }, 'datasetId', 'leave it out'],
    [{ modelId, step: 5 }, 'step', 'leave it out'],
    [{ modelId: other }, 'datasetId', 'no two-hop questions'],
    [{ modelId, analysis: { layer: 2 } }, 'analysis.layer', 'last block'],
    [{ modelId, analysis: { nFree: 0 } }, 'analysis.nFree', ''],
    [{ modelId, settings: { alphas: [1, 1] } }, 'settings.alphas', 'must not repeat'],
    [{ modelId, settings: { methods: [] } }, 'settings.methods', ''],
    [{ modelId, settings: { trials: 0 } }, 'settings.trials', ''],
  ] as const) {
    await expect(startHopSwapRun(db, input as never), JSON.stringify(input)).rejects.toMatchObject({
      ...{ code: 'INVALID_INPUT', path: path.split('.') },
      message: expect.stringContaining(message),
    });
  }
  const nobody = '00000000-0000-4000-8000-000000000000';
  for (const input of [{ runId: nobody }, { modelId: nobody }, { modelId, datasetId: nobody }])
    await expect(startHopSwapRun(db, input)).rejects.toMatchObject({ code: 'NOT_FOUND' });
  // As an analysis of an earlier version has ended.
  await finishQueuedRun(db, analysis!.id);
  await expect(startHopSwapRun(db, { runId: grokking.id })).rejects.toMatchObject({
    ...{ path: ['runId'], message: expect.stringContaining('did not keep an SAE for each hop') },
  });
});
