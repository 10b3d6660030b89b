import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Database, Db } from '../../src/db/client.ts';
import { readEvents } from '../../src/db/queries/events.ts';
import {
  cancelRun,
  claimRun,
  countQueue,
  failRun,
  finishRun,
  listRuns,
  readRun,
  releaseRun,
  reportProgress,
} from '../../src/db/queries/runs.ts';
import { createTestDatabase } from '../helpers/database.ts';
import { insertDataset, insertQueuedRun, insertRunningRun, insertWorker } from '../helpers/fixtures.ts';

let database: Database;
let db: Db;
beforeAll(async () => {
  database = await createTestDatabase();
  db = database.db;
});
afterAll(() => database.close());

const statuses = async (runId: string) =>
  (await readEvents(db, runId, 0, 100)).map((event) => event.type === 'STATUS' && event.status);

describe('a run', () => {
  test('goes to one of the workers that want it', async () => {
    const { id } = await insertQueuedRun(db);
    const workers = await Promise.all([1, 2, 3, 4].map(() => insertWorker(db)));
    const claims = await Promise.all(
      workers.map((worker) => claimRun(db, { runId: id, workerId: worker.id, backend: 'wasm' })),
    );
    const won = claims.filter((run) => run !== null);
    expect(won).toHaveLength(1);
    expect(won[0]).toMatchObject({ status: 'RUNNING', attempt: 1, startedAt: expect.any(Date) });
  });

  test('keeps its first start and progress when it is released and claimed again', async () => {
    const { id, claim, startedAt } = await insertRunningRun(db);
    await reportProgress(db, claim, { phase: 'TRAIN', progress: 0.5, etaSeconds: 10 });
    expect(await releaseRun(db, claim)).toMatchObject({ status: 'QUEUED', workerId: null, progress: 0.5 });
    expect(await releaseRun(db, claim)).toBeNull();
    const worker = await insertWorker(db);
    const again = await claimRun(db, { runId: id, workerId: worker.id, backend: 'wasm' });
    expect(again).toMatchObject({ attempt: 2, startedAt, progress: 0.5 });
    expect(await finishRun(db, claim, {})).toBeNull();
  });

  test('ends once', async () => {
    const { id, claim } = await insertRunningRun(db);
    expect(await finishRun(db, claim, { result: { dModel: 42 } })).toMatchObject({
      ...{ status: 'SUCCEEDED', progress: 1, etaSeconds: null, result: { dModel: 42 } },
      finishedAt: expect.any(Date),
    });
    expect(await failRun(db, claim, { code: 'INTERNAL', message: 'late' })).toBeNull();
    expect(await statuses(id)).toEqual(['QUEUED', 'RUNNING', 'SUCCEEDED']);
  });

  test('fails with an error', async () => {
    const { id, claim } = await insertRunningRun(db);
    await failRun(db, claim, { code: 'ENGINE_FAILED', message: 'out of memory\0' });
    expect(await readRun(db, id)).toMatchObject({
      ...{ status: 'FAILED', errorCode: 'ENGINE_FAILED', errorMessage: 'out of memory\\u0000' },
    });
  });
});

describe('cancelRun', () => {
  test('cancels a queued and a running run, and nothing can claim it afterwards', async () => {
    const { id } = await insertQueuedRun(db);
    expect((await cancelRun(db, id)).run).toMatchObject({
      ...{ status: 'CANCELLED', finishedAt: expect.any(Date) },
    });
    const worker = await insertWorker(db);
    expect(await claimRun(db, { runId: id, workerId: worker.id, backend: 'wasm' })).toBeNull();
    const running = await insertRunningRun(db);
    await cancelRun(db, running.id);
    expect(await statuses(running.id)).toEqual(['QUEUED', 'RUNNING', 'CANCELLED']);
  });

  test('says why it cannot', async () => {
    const { id, claim } = await insertRunningRun(db);
    await finishRun(db, claim, {});
    await expect(cancelRun(db, id)).rejects.toMatchObject({
      code: 'CONFLICT',
      message: expect.stringMatching(/has ended already: it is SUCCEEDED/),
    });
    const unknown = '00000000-0000-4000-8000-000000000000';
    await expect(cancelRun(db, unknown)).rejects.toMatchObject({ code: 'NOT_FOUND' });
  });
});

test('listRuns and countQueue filter by what they are asked', async () => {
  const datasetId = await insertDataset(db);
  const before = await countQueue(db);
  const queued = await insertQueuedRun(db, { datasetId });
  const running = await insertRunningRun(db, { datasetId });
  expect(await countQueue(db)).toEqual({ queued: before.queued + 1, running: before.running + 1 });
  const idsOf = async (filter: Parameters<typeof listRuns>[1]) =>
    (await listRuns(db, { datasetId, ...filter }, {})).edges.map((edge) => edge.node.id);
  expect(await idsOf({})).toEqual([running.id, queued.id]);
  expect(await idsOf({ status: ['QUEUED'] })).toEqual([queued.id]);
  expect(await idsOf({ status: ['RUNNING', 'FAILED'], kind: ['MODEL'] })).toEqual([running.id]);
  expect(await idsOf({ kind: ['ALIGNMENT'] })).toEqual([]);
});
