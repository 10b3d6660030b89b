import { eq } from 'drizzle-orm';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Database, Db } from '../../src/db/client.ts';
import { type Claim, readEvents } from '../../src/db/queries/events.ts';
import { giveModel, isBehind, storePoint } from '../../src/db/queries/grokking.ts';
import {
  cancelRun,
  claimRun,
  countQueue,
  failRun,
  finishRun,
  insertParts,
  type Run,
  readRun,
} from '../../src/db/queries/runs.ts';
import type { Worker } from '../../src/db/queries/workers.ts';
import { FINAL_STATUSES, modelCheckpoints, models } from '../../src/db/tables/index.ts';
import type { StopRule } from '../../src/engine/contract/grokkingSettings.ts';
import { createTestDatabase } from '../helpers/database.ts';
import { insertModel, insertQueuedRun, insertWorker, newRun } from '../helpers/fixtures.ts';

let database: Database;
let db: Db;
let worker: Worker;
beforeAll(async () => {
  database = await createTestDatabase();
  db = database.db;
  worker = await insertWorker(db);
});
afterAll(() => database.close());

const ERROR = { code: 'ENGINE_FAILED', message: 'it broke' };
const STEPS = [0, 10, 20, 30];

interface Family {
  parent: Run;
  training: Run;
  /** By step, ascending. */
  analyses: Run[];
}

async function insertFamily(stop: StopRule | null = null): Promise<Family> {
  const parent = await insertQueuedRun(db, { kind: 'GROKKING', settings: { stop } });
  const { datasetId } = parent;
  const parts = [
    newRun({ datasetId, kind: 'MODEL' }),
    ...STEPS.map((step) => newRun({ datasetId, kind: 'CHECKPOINT_ANALYSIS', step })),
  ];
  const stored = await insertParts(db, parent, parts);
  const [training, ...analyses] = [...stored].sort((a, b) => (a.id < b.id ? -1 : 1));
  return { parent, training: training!, analyses };
}

async function claim({ id }: Run): Promise<Claim> {
  const run = await claimRun(db, { runId: id, workerId: worker.id, backend: 'wasm' });
  return { runId: id, attempt: run!.attempt };
}

/** Training hands over its model at this step; its id. */
async function keep({ parent, training }: Family, step: number): Promise<string> {
  const modelId = await insertModel(db, parent.datasetId);
  await db.insert(modelCheckpoints).values({ runId: training.id, step, modelId });
  await db.transaction((tx) => giveModel(tx, parent.id, step, modelId));
  return modelId;
}

const hop = (number: number, strength: number) => ({
  ...{ hop: number, top1: strength, top3: 1, top5: 1, diagonalStrength: strength },
  ...{ matrix: [[strength]], ablationEffect: 0.5, directions: [1, 0] },
});

/** An analysis ends with this held-out accuracy, of 100 questions, and the diagonal strengths of its hops. */
async function measure(run: Run, held: Claim, heldOut = 0, strengths = [0, 0]): Promise<void> {
  await db.transaction(async (tx) => {
    const values = {
      ...{ trainQuestions: 10, trainCorrect: 10, heldOutQuestions: 100, heldOutCorrect: heldOut * 100 },
      ...{ at: new Date(), loss: 1, weightNorm: 1, logitMargin: 0 },
    };
    const hops = strengths.map((strength, i) => hop(i + 1, strength));
    await storePoint(tx, run, values, hops);
    if (!(await finishRun(tx, held, {}))) throw new Error('lost');
  });
}

const read = async ({ id }: Run) => (await readRun(db, id))!;
const told = async ({ id }: Run) =>
  (await readEvents(db, id, 0, 1000)).flatMap((event) =>
    event.type === 'POINT'
      ? event.step
      : event.type === 'STATUS' && event.status !== 'RUNNING'
        ? event.status
        : [],
  );

describe('points', () => {
  test('are told of in the order of training, whoever measured first, and before the end', async () => {
    const family = await insertFamily();
    const { parent, training, analyses } = family;
    const trains = await claim(training);
    for (const step of STEPS) await keep(family, step);
    await finishRun(db, trains, {});
    const held = await Promise.all(analyses.map(claim));
    await measure(analyses[2]!, held[2]!);
    expect(await told(parent)).toEqual(['QUEUED']);
    await measure(analyses[0]!, held[0]!);
    expect(await told(parent)).toEqual(['QUEUED', 0]);
    await measure(analyses[1]!, held[1]!);
    expect(await told(parent)).toEqual(['QUEUED', 0, 10, 20]);
    await measure(analyses[3]!, held[3]!);
    expect(await told(parent)).toEqual(['QUEUED', 0, 10, 20, 30, 'SUCCEEDED']);
    const events = await readEvents(db, parent.id, 0, 1000);
    expect(events.map(({ seq }) => seq)).toEqual(events.map((_, i) => i + 1));
  });

  test('do not wait for an analysis that failed', async () => {
    const family = await insertFamily();
    const { parent, training, analyses } = family;
    const trains = await claim(training);
    for (const step of STEPS) await keep(family, step);
    const held = await Promise.all(analyses.map(claim));
    await Promise.all([1, 2, 3].map((i) => measure(analyses[i]!, held[i]!)));
    await failRun(db, held[0]!, ERROR);
    await finishRun(db, trains, {});
    expect(await told(parent)).toEqual(['QUEUED', 10, 20, 30, 'SUCCEEDED']);
  });

  test('are each told of once when all are measured at once', async () => {
    for (let round = 0; round < 5; round++) {
      const family = await insertFamily({ measure: 'HELD_OUT_ACCURACY', threshold: 1, checkpoints: 1 });
      const trains = await claim(family.training);
      for (const step of STEPS) await keep(family, step);
      const held = await Promise.all(family.analyses.map(claim));
      await Promise.all([
        ...family.analyses.map((run, i) => measure(run, held[i]!)),
        finishRun(db, trains, {}),
      ]);
      expect(await told(family.parent)).toEqual(['QUEUED', 0, 10, 20, 30, 'SUCCEEDED']);
    }
  });
});

describe('an analysis', () => {
  test('waits for its model, uncounted, and is behind while nobody takes it', async () => {
    const family = await insertFamily();
    const before = await countQueue(db);
    await claim(family.training);
    expect(await countQueue(db)).toEqual({ queued: before.queued - 1, running: before.running + 1 });
    expect((await read(family.analyses[0]!)).phase).toBe('QUEUED');
    const modelId = await keep(family, 0);
    expect(await read(family.analyses[0]!)).toMatchObject({ modelId, status: 'QUEUED', phase: 'QUEUED' });
    expect((await countQueue(db)).queued).toBe(before.queued);
    expect(await isBehind(db, family.parent.id, 0)).toBe(false);
    expect(await isBehind(db, family.parent.id, 10)).toBe(true);
    await claim(family.analyses[0]!);
    expect(await isBehind(db, family.parent.id, 10)).toBe(false);
    await cancelRun(db, family.parent.id);
  });

  test('that no model will come for ends with its training, and so does the whole', async () => {
    for (const [end, status] of [
      [(held: Claim) => failRun(db, held, ERROR), 'FAILED'],
      [(held: Claim) => cancelRun(db, held.runId), 'CANCELLED'],
    ] as const) {
      const family = await insertFamily();
      const trains = await claim(family.training);
      await keep(family, 0);
      const held = await claim(family.analyses[0]!);
      await end(trains);
      expect((await read(family.parent)).status).toBe('RUNNING');
      await measure(family.analyses[0]!, held);
      expect(await read(family.parent)).toMatchObject({
        status,
        errorMessage: status === 'FAILED' ? 'its training failed: it broke' : null,
      });
      expect((await read(family.analyses[1]!)).status).toBe('CANCELLED');
    }
  });

  test('is cancelled with the whole, waiting or not', async () => {
    const family = await insertFamily();
    await claim(family.training);
    await keep(family, 0);
    const held = await claim(family.analyses[0]!);
    await cancelRun(db, family.parent.id);
    await expect(measure(family.analyses[0]!, held)).rejects.toThrow('lost');
    for (const run of [family.parent, family.training, ...family.analyses])
      expect((await read(run)).status).toBe('CANCELLED');
  });
});

describe('the stop rule', () => {
  test('ends training with the model of the last of n checkpoints in a row, and what lies behind', async () => {
    const family = await insertFamily({ measure: 'HELD_OUT_ACCURACY', threshold: 0.9, checkpoints: 2 });
    const { parent, training, analyses } = family;
    const trains = await claim(training);
    for (const step of [0, 10]) await keep(family, step);
    const modelId = await keep(family, 20);
    const held = await Promise.all(analyses.slice(0, 3).map(claim));
    // Alone it counts for nothing until those before it are measured.
    await measure(analyses[2]!, held[2]!, 0.95);
    await measure(analyses[0]!, held[0]!, 0.3);
    expect((await read(training)).status).toBe('RUNNING');
    await measure(analyses[1]!, held[1]!, 0.9);
    const [model] = await db.select().from(models).where(eq(models.id, modelId));
    expect(await read(training)).toMatchObject({
      ...{ status: 'SUCCEEDED', modelId, artifactHash: model!.artifactHash, result: { stoppedAt: 20 } },
      progress: 1,
    });
    expect((await read(analyses[3]!)).status).toBe('CANCELLED');
    expect(await read(parent)).toMatchObject({ status: 'SUCCEEDED', result: { stoppedAt: 20 } });
    expect(await told(parent)).toEqual(['QUEUED', 0, 10, 20, 'SUCCEEDED']);
    expect(await finishRun(db, trains, {})).toBeNull();
  });

  test('looks at the weaker hop, and leaves out points beyond that are measured already', async () => {
    const family = await insertFamily({ measure: 'DIAGONAL_STRENGTH', threshold: 0.9, checkpoints: 1 });
    const { parent, training, analyses } = family;
    const trains = await claim(training);
    for (const step of STEPS) await keep(family, step);
    await finishRun(db, trains, {});
    const held = await Promise.all(analyses.map(claim));
    await measure(analyses[2]!, held[2]!, 1, [1, 1]);
    await measure(analyses[0]!, held[0]!, 1, [1, 0.2]);
    await measure(analyses[1]!, held[1]!, 0, [0.9, 0.95]);
    expect(await told(parent)).toEqual(['QUEUED', 0, 10, 'SUCCEEDED']);
    await expect(measure(analyses[3]!, held[3]!)).rejects.toThrow('lost');
    expect((await read(training)).result).toEqual({ stoppedAt: 10 });
  });

  test('says where it was met also where nothing is left to end', async () => {
    const family = await insertFamily({ measure: 'HELD_OUT_ACCURACY', threshold: 0.9, checkpoints: 1 });
    const { parent, training, analyses } = family;
    const trains = await claim(training);
    for (const step of STEPS) await keep(family, step);
    await finishRun(db, trains, {});
    const held = await Promise.all(analyses.map(claim));
    for (const i of [1, 2, 3, 0]) await measure(analyses[i]!, held[i]!, i >= 2 ? 0.95 : 0.5);
    expect(await read(parent)).toMatchObject({ status: 'SUCCEEDED', result: { stoppedAt: STEPS[2] } });
  });

  test('makes nobody wait in a circle, whatever else ends at the same time', async () => {
    for (let round = 0; round < 12; round++) {
      const family = await insertFamily({ measure: 'HELD_OUT_ACCURACY', threshold: 0, checkpoints: 2 });
      const { parent, training, analyses } = family;
      const trains = await claim(training);
      for (const step of STEPS) await keep(family, step);
      const held = await Promise.all(analyses.map(claim));
      const outcomes = await Promise.allSettled([
        ...analyses.map((run, i) => measure(run, held[i]!)),
        round % 3 === 0 ? failRun(db, trains, ERROR) : finishRun(db, trains, {}),
        ...(round % 2 === 0 ? [cancelRun(db, parent.id)] : []),
      ]);
      const errors = outcomes.flatMap((outcome) =>
        outcome.status === 'rejected' && !/lost|has ended already/.test(outcome.reason.message)
          ? [outcome.reason]
          : [],
      );
      expect(errors).toEqual([]);
      expect(FINAL_STATUSES).toContain((await read(parent)).status);
    }
  });
});
