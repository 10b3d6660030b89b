import { eq } from 'drizzle-orm';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Database } from '../../src/db/client.ts';
import { runs } from '../../src/db/tables/index.ts';
import { GROKKING_PRESETS } from '../../src/engine/contract/grokkingPresets.ts';
import { prepareQueue } from '../../src/jobs/queue.ts';
import { checkpointSteps } from '../../src/runs/checkpointSchedule.ts';
import { startGrokkingRun } from '../../src/runs/grokking.ts';
import { startModelRun } from '../../src/runs/model.ts';
import { generateDataset, generateTwoHopDataset } from '../../src/services/datasetCreation.ts';
import { createTestDatabase } from '../helpers/database.ts';
import { insertModel } from '../helpers/fixtures.ts';
import { silentLog } from '../helpers/log.ts';

let database: Database;
let datasetId: string;
let biographies: string;
beforeAll(async () => {
  database = await createTestDatabase();
  await prepareQueue(database.pool, silentLog);
  const small = { entities: 4, relations: 3, factPhrasings: 1, trainShare: 0.5 };
  datasetId = (await generateTwoHopDataset(database.db, small)).id;
  biographies = (await generateDataset(database.db, { people: 1 })).id;
});
afterAll(() => database.close());

test('schedules begin with the untrained model and end with the last step', () => {
  expect(checkpointSteps({ schedule: 'LINEAR', count: 4 }, 100, [])).toEqual([0, 25, 50, 75, 100]);
  expect(checkpointSteps({ schedule: 'LOG', count: 4 }, 1000, [])).toEqual([0, 1, 10, 100, 1000]);
  expect(checkpointSteps({ schedule: 'LOG', count: 9 }, 10, [])).toEqual([0, 1, 2, 3, 4, 6, 7, 10]);
  expect(checkpointSteps({ schedule: 'LINEAR', count: 50 }, 2, [])).toEqual([0, 1, 2]);
  expect(checkpointSteps({ count: 1 }, 7, [])).toEqual([0, 7]);
  expect(checkpointSteps({ steps: [9, 0, 3] }, 9, [])).toEqual([0, 3, 9]);
});

test('a run waits with an analysis for each checkpoint, and only its training is in the queue', async () => {
  const { db } = database;
  const { id } = await startGrokkingRun(db, { datasetId, settings: { checkpoints: { steps: [0, 5] } } });
  const parts = await db.select().from(runs).where(eq(runs.parentId, id)).orderBy(runs.id);
  expect(parts.map(({ kind, step, phase }) => [kind, step, phase])).toEqual([
    ['MODEL', null, 'QUEUED'],
    ['CHECKPOINT_ANALYSIS', 0, 'AWAITING_CHECKPOINT'],
    ['CHECKPOINT_ANALYSIS', 5, 'AWAITING_CHECKPOINT'],
  ]);
  const { rows } = await database.pool.query('select key from graphile_worker.jobs where key = any($1)', [
    parts.map((part) => `run:${part.id}`),
  ]);
  expect(rows).toEqual([{ key: `run:${parts[0]!.id}` }]);
});

test('a preset gives data, model, checkpoints and analysis, and what is set beside it stands', async () => {
  const { db } = database;
  const read = async (input: Parameters<typeof startGrokkingRun>[1]) => {
    const { id } = await startGrokkingRun(db, input);
    const parts = await db.select().from(runs).where(eq(runs.parentId, id)).orderBy(runs.id);
    const [training, ...analyses] = parts.map(({ settings }) => settings as Record<string, unknown>);
    return { training: training!, analyses, steps: parts.slice(1).map(({ step }) => step!) };
  };
  for (const preset of ['GROKKING', 'IMPLICIT'] as const) {
    const own = await generateTwoHopDataset(db, { preset, entities: 4, relations: 3, trainShare: 0.5 });
    const { data, model, checkpoints } = GROKKING_PRESETS[preset];
    expect(own.settings).toMatchObject({ ...data, entities: 4, relations: 3, trainShare: 0.5 });
    const run = await read({ datasetId: own.id, preset, modelSettings: { seed: 7 } });
    expect(run.training).toMatchObject({ ...model, seed: 7 });
    expect(run.steps).toEqual(checkpoints.steps);
    expect(run.analyses[0]).toMatchObject({ shared: false, layer: 0 });
  }
  const short = await read({ datasetId, preset: 'GROKKING', modelSettings: { steps: 110 } });
  expect([short.steps, short.training.initStd]).toEqual([[0, 25, 50, 75, 100, 110], 0.2]);
});

test('what cannot be followed is refused with its path', async () => {
  const { db } = database;
  const modelId = await insertModel(db, datasetId);
  const unkept = await startModelRun(db, { datasetId });
  const nobody = '00000000-0000-4000-8000-000000000000';
  const checkpoints = (input: object) => ({ datasetId, settings: { checkpoints: input } });
  const stop = { measure: 'DIAGONAL_STRENGTH', threshold: 0.9 };
  for (const [input, path, message] of [
    [{}, 'datasetId', 'must be given'],
    [{ datasetId: biographies }, 'datasetId', 'no two-hop questions'],
    [{ modelRunId: unkept.id }, 'modelRunId', 'keepCheckpoints'],
    [{ modelRunId: unkept.id, models: [] }, 'models', 'exclude'],
    [{ models: [] }, 'models', '1 to'],
    [{ models: [{ modelId, step: 1 }], preset: 'GROKKING' as const }, 'preset', 'leave it out'],
    [
      {
        models: [
          { modelId, step: 1 },
          { modelId, step: 1 },
        ],
      },
      'models',
      'twice',
    ],
    [{ models: [{ modelId, step: -1 }] }, 'models', 'at least 0'],
    [{ models: [{ modelId, step: 1 }], modelSettings: {} }, 'modelSettings', 'leave it out'],
    [{ models: [{ modelId, step: 1 }], ...checkpoints({}) }, 'settings.checkpoints', 'leave it out'],
    [
      { models: [{ modelId, step: 1 }], settings: { analysis: { layer: 2 } } },
      'settings.analysis.layer',
      '1',
    ],
    [{ datasetId, settings: { analysis: { layer: 4 } } }, 'settings.analysis.layer', 'last block'],
    [{ datasetId, settings: { analysis: { nFree: 0 } } }, 'settings.analysis.nFree', ''],
    [{ datasetId, settings: { stop, lastSae: true } }, 'settings.lastSae', 'leave stop out'],
    [{ datasetId, settings: { stop: { ...stop, threshold: 2 } } }, 'settings.stop.threshold', '0–1; got 2'],
    [
      { datasetId, settings: { stop: { ...stop, checkpoints: 0 } } },
      'settings.stop.checkpoints',
      '1–256; got 0',
    ],
    [{ datasetId, modelSettings: { steps: 0 } }, 'modelSettings.steps', ''],
    [checkpoints({ count: 0 }), 'settings.checkpoints.count', '1–255; got 0'],
    [checkpoints({ count: 300 }), 'settings.checkpoints.count', 'got 300'],
    [checkpoints({ steps: [] }), 'settings.checkpoints.steps', '1 to'],
    [checkpoints({ steps: [5, 5] }), 'settings.checkpoints.steps.1', 'twice'],
    [checkpoints({ steps: [1001] }), 'settings.checkpoints.steps.0', '0 to 1000'],
    [checkpoints({ steps: [1], count: 3 }), 'settings.checkpoints.steps', 'exclude'],
  ] as const) {
    await expect(startGrokkingRun(db, input as never), path).rejects.toMatchObject({
      ...{ code: 'INVALID_INPUT', path: path.split('.') },
      message: expect.stringContaining(message),
    });
  }
  const wrong = {
    modelSettings: { steps: 0 },
    settings: { analysis: { nFree: 0 }, stop: { ...stop, threshold: 2 }, checkpoints: { count: 0 } },
  };
  await expect(startGrokkingRun(db, { datasetId, ...wrong } as never)).rejects.toMatchObject({
    issues: [
      'modelSettings.steps',
      'settings.checkpoints.count',
      'settings.analysis.nFree',
      'settings.stop.threshold',
    ].map((path) => ({ path: path.split('.') })),
  });
  for (const input of [
    { datasetId: nobody },
    { modelRunId: nobody },
    { models: [{ modelId: nobody, step: 0 }] },
  ])
    await expect(startGrokkingRun(db, input)).rejects.toMatchObject({ code: 'NOT_FOUND' });
});
