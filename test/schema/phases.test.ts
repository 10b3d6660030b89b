/** The phases of runs: what is planned, and what has come of it. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { appendMetrics } from '../../src/db/queries/events.ts';
import { cancelRun, failRun, finishRun, releaseRun, reportProgress } from '../../src/db/queries/runs.ts';
import { concepts, datasets, ontologies } from '../../src/db/tables/index.ts';
import { ALIGNMENT_PRESETS } from '../../src/engine/contract/alignmentPresets.ts';
import { encodeGlobalId } from '../../src/schema/ids.ts';
import { insertDataset, insertModel, insertQueuedRun, insertRunningRun } from '../helpers/fixtures.ts';
import { type Api, openApi } from './api.ts';

let api: Api;
beforeAll(async () => {
  api = await openApi();
});
afterAll(() => api.close());

interface Phase {
  name: string;
  fromStep: number | null;
  toStep: number | null;
  startedAt: string | null;
  finishedAt: string | null;
}
const phasesOf = async (type: string, id: string): Promise<Phase[]> => {
  const query = `query ($id: ID!) { run(id: $id) { phase phases { name fromStep toStep startedAt finishedAt } } }`;
  return (await api.ask(query, { id: encodeGlobalId(type, id) })).run.phases;
};
const standing = ({ name, startedAt, finishedAt }: Phase) => [name, startedAt !== null, finishedAt !== null];

test('an alignment has its steps by stage from the beginning, and times as it comes to them', async () => {
  const { db } = api.database;
  const datasetId = await insertDataset(db);
  const settings = {
    ...ALIGNMENT_PRESETS.PAPER,
    pretrain: { ...ALIGNMENT_PRESETS.PAPER.pretrain, steps: 40 },
    posttrain: { ...ALIGNMENT_PRESETS.PAPER.posttrain, steps: 60 },
  };
  const modelId = await insertModel(db, datasetId);
  const { id, claim } = await insertRunningRun(db, { kind: 'ALIGNMENT', datasetId, modelId, settings });
  const at = (phase: 'CAPTURE' | 'PRETRAIN' | 'POSTTRAIN' | 'EVALUATE', progress: number) =>
    reportProgress(db, claim, { phase, progress, etaSeconds: null });
  const planned = await phasesOf('AlignmentRun', id);
  expect(planned.map(({ name, fromStep, toStep }) => [name, fromStep, toStep])).toEqual([
    ['CAPTURE', null, null],
    ['PRETRAIN', 1, 40],
    ['POSTTRAIN', 41, 100],
    ['EVALUATE', null, null],
  ]);
  expect(planned.every(({ startedAt, finishedAt }) => startedAt === null && finishedAt === null)).toBe(true);
  await at('CAPTURE', 0);
  await at('PRETRAIN', 0.1);
  await at('PRETRAIN', 0.2);
  const midway = await phasesOf('AlignmentRun', id);
  expect(midway.map(standing)).toEqual([
    ['CAPTURE', true, true],
    ['PRETRAIN', true, false],
    ['POSTTRAIN', false, false],
    ['EVALUATE', false, false],
  ]);
  expect(midway[0]!.finishedAt).toBe(midway[1]!.startedAt);
  await at('POSTTRAIN', 0.6);
  await at('EVALUATE', 0.9);
  await finishRun(db, claim, {});
  expect((await phasesOf('AlignmentRun', id)).map(standing)).toEqual(
    ['CAPTURE', 'PRETRAIN', 'POSTTRAIN', 'EVALUATE'].map((name) => [name, true, true]),
  );
});

test('a run that fails ends in its phase, and one that nobody took up has come to none', async () => {
  const { db } = api.database;
  const settings = { steps: 500 };
  const failed = await insertRunningRun(db, { settings });
  await reportProgress(db, failed.claim, { phase: 'TRAIN', progress: 0.5, etaSeconds: 1 });
  await failRun(db, failed.claim, { code: 'ENGINE_FAILED', message: 'diverged' });
  expect(await phasesOf('ModelRun', failed.id)).toMatchObject([
    { name: 'TRAIN', fromStep: 1, toStep: 500, finishedAt: expect.any(String) },
    { name: 'EVALUATE', fromStep: null, startedAt: null },
  ]);
  const queued = await insertQueuedRun(db, { settings });
  await cancelRun(db, queued.id);
  expect((await phasesOf('ModelRun', queued.id)).map(standing)).toEqual([
    ['TRAIN', false, false],
    ['EVALUATE', false, false],
  ]);
});

test('a run that goes on from a checkpoint is in its phase from the first time to the last', async () => {
  const { db } = api.database;
  const { id, claim } = await insertRunningRun(db, { settings: { steps: 5 } });
  await reportProgress(db, claim, { phase: 'TRAIN', progress: 0.5, etaSeconds: 1 });
  const [before] = await phasesOf('ModelRun', id);
  await releaseRun(db, claim);
  const [waiting] = await phasesOf('ModelRun', id);
  expect(waiting).toEqual({ ...before, finishedAt: expect.any(String) });
});

test('the slots of an alignment are looked at while it is trained, and at any step afterwards', async () => {
  const { db } = api.database;
  const [ontology] = await db.insert(ontologies).values({ slug: 'o', version: 1, name: 'o' }).returning();
  const named = ['a', 'b'].map((key, position) => ({ key, label: key, description: '', position }));
  await db.insert(concepts).values(named.map((concept) => ({ ...concept, ontologyId: ontology!.id })));
  const [dataset] = await db
    .insert(datasets)
    .values({ ontologyId: ontology!.id, name: 'd', kind: 'PROMPTS', settings: {}, contentHash: 'x' })
    .returning();
  const modelId = await insertModel(db, dataset!.id);
  const settings = ALIGNMENT_PRESETS.PAPER;
  const { id, claim } = await insertRunningRun(db, {
    ...{ kind: 'ALIGNMENT', datasetId: dataset!.id, modelId, settings },
  });
  const look = async (step: number | null) => {
    const query = `query ($id: ID!, $step: Int) { run(id: $id) { ... on AlignmentRun {
      bindingSteps bindingLook(step: $step) { step matrix rate { successes trials } concepts { key } } } } }`;
    return (await api.ask(query, { id: encodeGlobalId('AlignmentRun', id), step })).run;
  };
  expect(await look(null)).toEqual({ bindingSteps: [], bindingLook: null });
  const row = (step: number, binding: number[][]) => ({ step, at: 1, values: { loss: 1 }, binding });
  const first = row(10, [
    [1, 3],
    [0, 0],
  ]);
  await appendMetrics(db, claim, [first]);
  // Again, as of a run that goes on from a checkpoint before it.
  const second = row(20, [
    [4, 0],
    [1, 1],
  ]);
  await appendMetrics(db, claim, [first, second]);
  const newest = {
    ...{ step: 20, rate: { successes: 5, trials: 6 }, concepts: [{ key: 'a' }, { key: 'b' }] },
    matrix: [
      [1, 0],
      [0.5, 0.5],
    ],
  };
  expect(await look(null)).toEqual({ bindingSteps: [10, 20], bindingLook: newest });
  expect((await look(19)).bindingLook).toMatchObject({
    step: 10,
    matrix: [
      [0.25, 0.75],
      [0, 0],
    ],
  });
  expect((await look(9)).bindingLook).toBeNull();
});
