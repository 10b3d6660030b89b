import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Database, Db } from '../../src/db/client.ts';
import { readEvents } from '../../src/db/queries/events.ts';
import {
  cancelRun,
  claimRun,
  countQueue,
  failRun,
  finishRun,
  insertParts,
  type Run,
  readRun,
  releaseRun,
  reportProgress,
  requeueRunsOf,
} from '../../src/db/queries/runs.ts';
import type { Worker } from '../../src/db/queries/workers.ts';
import { createTestDatabase } from '../helpers/database.ts';
import { insertQueuedRun, insertWorker, newRun } from '../helpers/fixtures.ts';

let database: Database;
let db: Db;
beforeAll(async () => {
  database = await createTestDatabase();
  db = database.db;
});
afterAll(() => database.close());

async function insertSweep(parts: number): Promise<{ parent: Run; parts: Run[] }> {
  const parent = await insertQueuedRun(db, { kind: 'ALIGNMENT_SWEEP' });
  const { datasetId } = parent;
  const stored = await insertParts(
    db,
    parent,
    Array.from({ length: parts }, (_, seed) => newRun({ datasetId, kind: 'ALIGNMENT', seed })),
  );
  return { parent, parts: stored };
}

async function claim({ id }: Run, worker?: Worker) {
  const { id: workerId } = worker ?? (await insertWorker(db));
  const run = await claimRun(db, { runId: id, workerId, backend: 'wasm' });
  return { runId: id, attempt: run!.attempt };
}

const read = async ({ id }: Run) => (await readRun(db, id))!;
const eventsOf = ({ id }: Run) => readEvents(db, id, 0, 10_000);
const ERROR = { code: 'ENGINE_FAILED', message: 'it broke' };

describe('a run of parts', () => {
  test('begins with its first part, goes on with their mean and ends with the last', async () => {
    const { parent, parts } = await insertSweep(2);
    expect(parts.map(({ seed }) => seed)).toEqual([0, 1]);
    const first = await claim(parts[0]!);
    expect(await read(parent)).toMatchObject({ status: 'RUNNING', phase: 'PARTS', progress: 0 });
    await reportProgress(db, first, { phase: 'PRETRAIN', progress: 0.5, etaSeconds: 9 });
    expect(await read(parent)).toMatchObject({ status: 'RUNNING', progress: 0.25 });
    await failRun(db, first, ERROR);
    expect(await read(parent)).toMatchObject({ status: 'RUNNING', progress: 0.5, finishedAt: null });
    await finishRun(db, await claim(parts[1]!), {});
    expect(await read(parent)).toMatchObject({
      ...{ status: 'SUCCEEDED', phase: 'DONE', progress: 1, etaSeconds: null, errorCode: null },
      finishedAt: expect.any(Date),
    });
    const told = (await eventsOf(parent)).map((event) =>
      event.type === 'PART' ? event.partId : event.type === 'STATUS' ? event.status : event.type,
    );
    const [a, b] = parts.map(({ id }) => id);
    expect(told).toEqual(['QUEUED', 'RUNNING', 'RUNNING', a, 'RUNNING', b, 'SUCCEEDED']);
  });

  test('is not told of every little progress', async () => {
    const { parent, parts } = await insertSweep(2);
    const held = await claim(parts[0]!);
    for (let i = 0; i <= 100; i++)
      await reportProgress(db, held, { phase: 'PRETRAIN', progress: i / 1000, etaSeconds: null });
    expect((await read(parent)).progress).toBeGreaterThan(0.035);
    expect((await eventsOf(parent)).length).toBeLessThan(10);
  });

  test('fails when no part succeeds, with the words of the first, and is cancelled when all are', async () => {
    const failing = await insertSweep(3);
    await cancelRun(db, failing.parts[0]!.id);
    expect(await read(failing.parent)).toMatchObject({ status: 'RUNNING' });
    for (const part of failing.parts.slice(1)) await failRun(db, await claim(part), ERROR);
    const errorMessage = '2 of 3 parts failed and none succeeded; the first: it broke';
    expect(await read(failing.parent)).toMatchObject({
      status: 'FAILED',
      errorCode: ERROR.code,
      errorMessage,
    });
    const cancelled = await insertSweep(2);
    for (const part of cancelled.parts) await cancelRun(db, part.id);
    expect(await read(cancelled.parent)).toMatchObject({ status: 'CANCELLED' });
  });

  test('takes the parts along that have not ended when it is cancelled, and hears of none afterwards', async () => {
    const { parent, parts } = await insertSweep(3);
    await finishRun(db, await claim(parts[0]!), {});
    const held = await claim(parts[1]!);
    const cancelled = await cancelRun(db, parent.id);
    expect(cancelled.run).toMatchObject({ id: parent.id, status: 'CANCELLED' });
    expect(cancelled.parts.map(({ id }) => id).sort()).toEqual([parts[1]!.id, parts[2]!.id]);
    expect(await finishRun(db, held, {})).toBeNull();
    expect((await read(parts[0]!)).status).toBe('SUCCEEDED');
    expect((await eventsOf(parent)).at(-1)).toMatchObject({ type: 'STATUS', status: 'CANCELLED' });
    await expect(cancelRun(db, parent.id)).rejects.toMatchObject({ code: 'CONFLICT' });
  });

  test('does not count as waiting for a worker', async () => {
    const before = await countQueue(db);
    await insertSweep(2);
    expect(await countQueue(db)).toEqual({ ...before, queued: before.queued + 2 });
  });
});

describe('parts that change at the same time', () => {
  test('all end up in their parent, numbered without gaps, and none waits in a circle', async () => {
    const { parent, parts } = await insertSweep(24);
    const worker = await insertWorker(db);
    const claims = await Promise.all(parts.map((part) => claim(part, worker)));
    await Promise.all(
      claims.flatMap((held, i) => [
        reportProgress(db, held, { phase: 'PRETRAIN', progress: 0.5, etaSeconds: null }),
        i % 3 === 0 ? failRun(db, held, ERROR) : finishRun(db, held, {}),
      ]),
    );
    expect(await read(parent)).toMatchObject({ status: 'SUCCEEDED', progress: 1 });
    const events = await eventsOf(parent);
    expect(events.map(({ seq }) => seq)).toEqual(events.map((_, i) => i + 1));
    const told = events.flatMap((event) => (event.type === 'PART' ? event.partId : []));
    expect(told.sort()).toEqual(parts.map(({ id }) => id));
    expect(events.filter((event) => event.type === 'STATUS' && event.status === 'SUCCEEDED')).toHaveLength(1);
  });

  test('also with workers that die, parts that are given back and a parent that is cancelled', async () => {
    for (let round = 0; round < 8; round++) {
      const { parent, parts } = await insertSweep(12);
      const worker = await insertWorker(db);
      const claims = await Promise.all(parts.map((part) => claim(part, worker)));
      const outcomes = await Promise.allSettled([
        ...claims.slice(0, 6).map((held) => finishRun(db, held, {})),
        requeueRunsOf(db, [worker.id]),
        ...claims.slice(6).map((held) => releaseRun(db, held)),
        cancelRun(db, parts[11]!.id),
        cancelRun(db, parent.id),
      ]);
      const errors = outcomes.flatMap((outcome) =>
        outcome.status === 'rejected' && outcome.reason.code !== 'CONFLICT' ? [outcome.reason] : [],
      );
      expect(errors).toEqual([]);
      const statuses = await Promise.all([parent, ...parts].map(async (run) => (await read(run)).status));
      expect(statuses.every((status) => status === 'CANCELLED' || status === 'SUCCEEDED')).toBe(true);
    }
  });
});
