import { eq } from 'drizzle-orm';
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from 'vitest';
import { readEvents } from '../../src/db/queries/events.ts';
import { type Run, readRun } from '../../src/db/queries/runs.ts';
import { modelCheckpoints, runs } from '../../src/db/tables/index.ts';
import { type NewGrokkingRun, startGrokkingRun } from '../../src/runs/grokking.ts';
import { startModelRun } from '../../src/runs/model.ts';
import {
  checkpointsOfRuns,
  type GrokkingPoint,
  lastBindingsOfRuns,
  pointsOfRuns,
  trainingsOfRuns,
} from '../../src/services/grokking.ts';
import { cancelRun } from '../../src/services/run.ts';
import { storeTwoHops, TINY_TWO_HOPS } from '../helpers/twoHops.ts';
import { type Farm, openFarm, processGone } from './farm.ts';

vi.setConfig({ testTimeout: 180_000 });

const STEPS = [0, 30, 60, 120];
/** The same, and more at the beginning. */
const MANY = [0, 1, 2, 30, 60, 120];
const { modelSettings, analysis } = TINY_TWO_HOPS;
let farm: Farm;
let datasetId: string;
/** What a run that nothing happened to has measured. */
let whole: Run;
let expected: object[];

beforeAll(async () => {
  farm = await openFarm({ people: 1 });
  datasetId = await storeTwoHops(farm.database.db);
  await farm.startWorker({ concurrency: 3 });
  whole = await farm.ended((await start({ lastSae: true })).id);
  expected = await measured(whole.id);
  await farm.stopWorkers();
}, 180_000);
afterEach(() => farm.stopWorkers());
afterAll(() => farm.close());

const start = (settings: NewGrokkingRun['settings'] = {}) =>
  startGrokkingRun(farm.database.db, {
    ...{ datasetId, modelSettings },
    settings: { checkpoints: { steps: STEPS }, analysis, ...settings },
  });
const measured = async (runId: string): Promise<object[]> => {
  const [points] = await pointsOfRuns(farm.database.db, [runId]);
  return points!.map(withoutPlace);
};
/** A point without what tells one run's from another's. */
function withoutPlace({ runId: _r, at: _a, seq: _s, hops, ...point }: GrokkingPoint): object {
  return { ...point, hops: hops.map(({ runId: _, ...hop }) => hop) };
}
const trainingOf = async (runId: string) => (await trainingsOfRuns(farm.database.db, [runId]))[0]!;
const told = async (runId: string) => {
  const events = await readEvents(farm.database.db, runId, 0, 1000);
  expect(events.at(-1)).toMatchObject({ type: 'STATUS' });
  return events.flatMap((event) => (event.type === 'POINT' ? event.step : []));
};

describe('a grokking run', () => {
  test('measures every checkpoint, from the untrained model to the last, which is the trained one', async () => {
    expect(whole).toMatchObject({ status: 'SUCCEEDED', progress: 1 });
    expect(await told(whole.id)).toEqual(STEPS);
    expect(expected).toMatchObject(STEPS.map((step) => ({ step, trainQuestions: 96, heldOutQuestions: 32 })));
    const [first, last] = [expected[0], expected.at(-1)] as [GrokkingPoint, GrokkingPoint];
    expect(first).toMatchObject({ trainCorrect: 0, oneHopQuestions: 32 });
    const { accuracy } = (await trainingOf(whole.id)).result as { accuracy: Record<string, number> };
    expect(last.trainCorrect / 96).toBeCloseTo(accuracy.TRAIN!, 6);
    expect(last.heldOutCorrect / 32).toBeCloseTo(accuracy.VALIDATION!, 6);
    expect(last.trainCorrect).toBeGreaterThan(0);
    expect(last.loss).toBeLessThan(first.loss - 0.5);
    for (const { hops } of expected as GrokkingPoint[]) expect(hops.map(({ hop }) => hop)).toEqual([1, 2]);
    const training = await trainingOf(whole.id);
    const [kept] = await checkpointsOfRuns(farm.database.db, [training.id]);
    expect(kept!.map(({ step }) => step)).toEqual(STEPS);
    expect(kept!.at(-1)!.model.artifactHash).toBe(training.artifactHash);
  });

  test('is read by the SAEs of its last checkpoint at every checkpoint too, where it is asked for', async () => {
    const [byLast] = await lastBindingsOfRuns(farm.database.db, [whole.id]);
    const own = (expected as GrokkingPoint[]).flatMap(({ hops }) => hops);
    const withoutRun = byLast!.map(({ runId: _, ...hop }) => hop);
    expect(withoutRun.map(({ step, hop }) => [step, hop])).toEqual(own.map(({ step, hop }) => [step, hop]));
    expect(withoutRun.slice(-2)).toEqual(own.slice(-2));
    // Of the untrained model they see something else than its own SAEs do.
    expect(withoutRun.slice(0, 2)).not.toEqual(own.slice(0, 2));
  });

  // Whether the training still has a step before it when its first analysis waits is a matter of pace.
  test('of a lone worker makes way for its analyses, to the same points', { retry: 1 }, async () => {
    await farm.startWorker();
    const { id } = await start({ checkpoints: { steps: MANY } });
    const training = await farm.ended((await trainingOf(id)).id);
    await farm.ended(id);
    expect((await measured(id)).filter((_, i) => STEPS.includes(MANY[i]!))).toEqual(expected);
    expect(await told(id)).toEqual(MANY);
    // The first point was there before training had ended.
    const events = await readEvents(farm.database.db, id, 0, 1000);
    expect(events.find(({ type }) => type === 'POINT')!.at.getTime()).toBeLessThan(
      training.finishedAt!.getTime(),
    );
    expect(training.attempt).toBeGreaterThan(1);
    expect(training.artifactHash).toBe((await trainingOf(whole.id)).artifactHash);
    expect(await lastBindingsOfRuns(farm.database.db, [id])).toEqual([[]]);
  });

  test('whose engines are killed as training goes on ends with the same points, none twice', async () => {
    const worker = await farm.startWorker({ concurrency: 2 });
    const { id } = await start();
    const training = await trainingOf(id);
    await farm.waitFor(async () => {
      const kept = await farm.database.db
        .select()
        .from(modelCheckpoints)
        .where(eq(modelCheckpoints.runId, training.id));
      return kept.length >= 2 && worker.enginePids.length > 0;
    });
    for (const pid of worker.enginePids) process.kill(pid, 'SIGKILL');
    expect((await farm.ended(id)).status).toBe('SUCCEEDED');
    expect(await measured(id)).toEqual(expected);
    expect(await told(id)).toEqual(STEPS);
  });

  test('stops where its rule is met, with the model of that checkpoint', async () => {
    await farm.startWorker();
    const rule = { measure: 'HELD_OUT_ACCURACY', threshold: 0, checkpoints: 2 } as const;
    const { id } = await start({ stop: rule });
    expect(await farm.ended(id)).toMatchObject({ status: 'SUCCEEDED', result: { stoppedAt: 30 } });
    expect(await measured(id)).toEqual(expected.slice(0, 2));
    const training = await trainingOf(id);
    const [kept] = await checkpointsOfRuns(farm.database.db, [training.id]);
    expect(training).toMatchObject({ status: 'SUCCEEDED', modelId: kept![1]!.model.id });
  });

  test('takes everything down when it is cancelled', async () => {
    const worker = await farm.startWorker({ concurrency: 2 });
    const { id } = await start();
    const [pid] = await farm.waitFor(async () => worker.enginePids.length > 0 && worker.enginePids);
    await cancelRun(farm.database.db, id);
    await processGone(pid!);
    const parts = await farm.database.db.select().from(runs).where(eq(runs.parentId, id));
    expect(parts).toHaveLength(1 + STEPS.length);
    for (const { status } of parts) expect(['CANCELLED', 'SUCCEEDED']).toContain(status);
    expect((await readRun(farm.database.db, id))!.status).toBe('CANCELLED');
  });

  test('follows, in hindsight, a training that kept checkpoints, and models given with their steps', async () => {
    const { db } = farm.database;
    await farm.startWorker({ concurrency: 2 });
    const model = await startModelRun(db, {
      ...{ datasetId, settings: modelSettings, keepCheckpoints: { steps: STEPS } },
    });
    await farm.ended(model.id);
    const hindsight = await startGrokkingRun(db, { modelRunId: model.id, settings: { analysis } });
    const [kept] = await checkpointsOfRuns(db, [model.id]);
    const models = kept!.slice(2).map(({ step, model: { id: modelId } }) => ({ step, modelId }));
    const given = await startGrokkingRun(db, { models, settings: { analysis } });
    await Promise.all([farm.ended(hindsight.id), farm.ended(given.id)]);
    expect(await measured(hindsight.id)).toEqual(expected);
    expect(await measured(given.id)).toEqual(expected.slice(2));
  });
});
