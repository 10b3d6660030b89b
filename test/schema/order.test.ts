import { eq } from 'drizzle-orm';
import { graphql } from 'graphql';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { cancelRun, claimRun, failRun, finishRun, readRun } from '../../src/db/queries/runs.ts';
import { apiKeys, runs, saes, usedSaes } from '../../src/db/tables/index.ts';
import { ALIGNMENT_PRESETS } from '../../src/engine/contract/alignmentPresets.ts';
import { giveBack } from '../../src/jobs/queue.ts';
import { startModelRun } from '../../src/runs/model.ts';
import { createContext } from '../../src/schema/context.ts';
import { decodeGlobalId, encodeGlobalId } from '../../src/schema/ids.ts';
import { buildSchema } from '../../src/schema/schema.ts';
import { generateDataset, generateTwoHopDataset } from '../../src/services/datasetCreation.ts';
import { placeOrder } from '../../src/services/order.ts';
import { insertModel, insertQueuedRun, insertWorker } from '../helpers/fixtures.ts';
import { type Api, type Data, openApi } from './api.ts';

const NOBODY = '00000000-0000-4000-8000-000000000000';

let api: Api;
let datasetId: string;
let modelId: string;
beforeAll(async () => {
  api = await openApi();
  datasetId = (await generateDataset(api.database.db, { people: 2 })).id;
  modelId = await insertModel(api.database.db, datasetId);
});
afterAll(() => api.close());

const RUN = 'id kind name tags notes status priority copyOf { id }';
const mutate = async (name: string, input: object, fields = `run { ${RUN} }`): Promise<Data> => {
  const type = `${name[0]!.toUpperCase()}${name.slice(1)}Input`;
  const success = name === 'setRunPriority' ? 'SetRunPrioritySuccess' : 'StartRunSuccess';
  const text = `mutation ($input: ${type}!) { ${name}(input: $input) { __typename
    ... on ${success} { ${fields} } ... on InputError { message path } ... on Error { message } } }`;
  return (await api.ask(text, { input }))[name];
};
const rowOf = async (globalId: string) => (await readRun(api.database.db, decodeGlobalId(globalId).id))!;
const partsOf = (id: string) =>
  api.database.db.select().from(runs).where(eq(runs.parentId, id)).orderBy(runs.createdAt, runs.id);
/** What a copy must have of its original. */
const essence = (run: Data) => {
  const { kind, settings, seed, modelId, initialModelId, datasetId, datasetHash, step, alignmentRunId } = run;
  return { kind, settings, seed, modelId, initialModelId, datasetId, datasetHash, step, alignmentRunId };
};
const startModel = (input: object = {}) =>
  mutate('startModelRun', { datasetId: encodeGlobalId('Dataset', datasetId), ...input });
const startAlignment = (settings: object = {}) =>
  mutate('startAlignmentRun', { modelId: encodeGlobalId('Model', modelId), settings });
/** Ids of the runs that wait in the queue, in the order in which they will be taken up. */
async function queue(): Promise<string[]> {
  const { rows } = await api.database.pool.query(
    `select substr(key, 5) as id from graphile_worker.jobs order by priority, run_at, jobs.id`,
  );
  return rows.map(({ id }) => id);
}

describe('priorities', () => {
  it('decide the order of the queue, at the start and later, for parts as for their whole', async () => {
    const [low, first, high, second] = [
      await startModel({ priority: -3 }),
      await startModel(),
      await startModel({ priority: 10 }),
      await startModel(),
    ].map(({ run }) => decodeGlobalId(run.id).id);
    const sweep = await mutate('startAlignmentSweep', {
      ...{ modelId: encodeGlobalId('Model', modelId), layers: [0, 1], priority: 4 },
    });
    expect(sweep.run.priority).toBe(4);
    const parts = await partsOf(decodeGlobalId(sweep.run.id).id);
    expect(parts.map(({ priority }) => priority)).toEqual([4, 4]);
    const [a, b] = parts.map(({ id }) => id);
    expect(await queue()).toEqual([high, a, b, first, second, low]);
    const changed = await mutate('setRunPriority', { id: sweep.run.id, priority: -10 });
    expect(changed.run).toMatchObject({ id: sweep.run.id, priority: -10 });
    expect(await queue()).toEqual([high, first, second, low, a, b]);
    // What comes back from a worker has its place again.
    const worker = await insertWorker(api.database.db);
    const claimed = await claimRun(api.database.db, { runId: high!, workerId: worker.id, backend: 'wasm' });
    await api.database.pool.query("select graphile_worker.remove_job('run:' || $1::text)", [high]);
    await giveBack(api.database.db, claimed!);
    expect((await queue())[0]).toBe(high);
    for (const id of [low, first, high, second, decodeGlobalId(sweep.run.id).id])
      await cancelRun(api.database.db, id!);
  });

  it('are refused beyond their range, before anything is started, and for what has ended', async () => {
    const before = (await api.ask('{ runs { totalCount } }')).runs.totalCount;
    for (const priority of [11, -11])
      expect(await startModel({ priority })).toMatchObject({ __typename: 'InputError', path: ['priority'] });
    expect((await api.ask('{ runs { totalCount } }')).runs.totalCount).toBe(before);
    const { run } = await startModel();
    await cancelRun(api.database.db, decodeGlobalId(run.id).id);
    expect((await mutate('setRunPriority', { id: run.id, priority: 1 })).__typename).toBe('ConflictError');
    const nobody = encodeGlobalId('ModelRun', NOBODY);
    expect((await mutate('setRunPriority', { id: nobody, priority: 1 })).__typename).toBe('NotFoundError');
  });
});

describe('the runs that wait for one key', () => {
  it('are limited, each key by itself, also where starts come at once', async () => {
    const { db } = api.database;
    const [mine, other] = await db
      .insert(apiKeys)
      .values(['mine', 'other'].map((name) => ({ name, scopes: ['RUN' as const], hash: name })))
      .returning();
    const place = (apiKeyId: string) =>
      placeOrder(db, { apiKeyId, maxQueued: 3 }, {}, (tx) => startModelRun(tx, { datasetId }));
    const outcomes = await Promise.allSettled(Array.from({ length: 5 }, () => place(mine!.id)));
    const refused = outcomes.filter((outcome) => outcome.status === 'rejected');
    expect(refused).toHaveLength(2);
    expect(refused[0]!.reason).toMatchObject({ code: 'LIMIT_EXCEEDED' });
    expect(refused[0]!.reason.message).toContain('accepted are 3 (MAX_QUEUED_RUNS)');
    const own = await db.select().from(runs).where(eq(runs.apiKeyId, mine!.id));
    expect(own).toHaveLength(3);
    expect((await place(other!.id)).apiKeyId).toBe(other!.id);
    // One that is taken up leaves room.
    const worker = await insertWorker(db);
    await claimRun(db, { runId: own[0]!.id, workerId: worker.id, backend: 'wasm' });
    expect((await place(mine!.id)).status).toBe('QUEUED');
    await expect(place(mine!.id)).rejects.toMatchObject({ code: 'LIMIT_EXCEEDED' });
  });

  it('count parts, and reach the caller as an error that says what to do', async () => {
    const [key] = await api.database.db
      .insert(apiKeys)
      .values({ name: 'small', scopes: ['RUN'], hash: 'small' })
      .returning();
    const { database, dependencies } = api;
    const limits = { ...dependencies.limits, queuedRuns: 2 };
    const context = createContext(
      { ...dependencies, limits },
      { scopes: ['READ', 'RUN'], clientId: 'test', keyId: key!.id },
      'test',
    );
    const source = `mutation ($m: ID!) { startAlignmentSweep(input: { modelId: $m, layers: [-1, 0, 1] }) { __typename } }`;
    const answer = await graphql({
      ...{ schema: buildSchema(), source, contextValue: context },
      variableValues: { m: encodeGlobalId('Model', modelId) },
    });
    expect(answer.errors?.[0]?.message).toContain('3 runs of this API key would wait');
    expect(await database.db.select().from(runs).where(eq(runs.apiKeyId, key!.id))).toEqual([]);
  });
});

describe('retryRun', () => {
  it('does a run again as it was, under its name', async () => {
    const { db } = api.database;
    const settings = { steps: 7, seed: 5, nLayers: 1 };
    const labels = { name: 'Try', tags: ['a'], notes: 'n' };
    const { run } = await startModel({
      ...{ ...labels, settings, priority: 2, keepCheckpoints: { steps: [0, 3] } },
    });
    expect((await mutate('retryRun', { id: run.id })).__typename).toBe('ConflictError');
    const worker = await insertWorker(db);
    const { id, attempt } = (await claimRun(db, {
      ...{ runId: decodeGlobalId(run.id).id, workerId: worker.id, backend: 'wasm' },
    }))!;
    await failRun(db, { runId: id, attempt }, { code: 'ENGINE_FAILED', message: 'no' });
    const { run: again } = await mutate('retryRun', { id: run.id });
    expect(again).toMatchObject({ ...labels, status: 'QUEUED', priority: 2, copyOf: { id: run.id } });
    expect(essence(await rowOf(again.id))).toEqual(essence(await rowOf(run.id)));
    expect(await queue()).toContain(decodeGlobalId(again.id).id);
    // The original stays as it ended.
    expect((await rowOf(run.id)).status).toBe('FAILED');
  });

  it('does a sweep again with its parts in their order', async () => {
    const { run } = await mutate('startAlignmentSweep', {
      ...{ modelId: encodeGlobalId('Model', modelId), layers: [1, 0], seeds: [3, 4] },
    });
    await cancelRun(api.database.db, decodeGlobalId(run.id).id);
    const { run: again } = await mutate('retryRun', { id: run.id });
    const [before, after] = await Promise.all(
      [run, again].map(async ({ id }) => (await partsOf(decodeGlobalId(id).id)).map(essence)),
    );
    expect(after).toEqual(before);
    expect(after).toHaveLength(4);
    // A part alone stands for itself.
    const [part] = await partsOf(decodeGlobalId(run.id).id);
    const alone = await mutate('retryRun', { id: encodeGlobalId('AlignmentRun', part!.id) });
    expect(await rowOf(alone.run.id)).toMatchObject({ parentId: null, settings: part!.settings });
  });

  it('does a grokking run again, its analyses waiting for their checkpoints', async () => {
    const { db } = api.database;
    const small = { entities: 4, relations: 3, factPhrasings: 1, trainShare: 0.5 };
    const twoHop = (await generateTwoHopDataset(db, small)).id;
    const { run } = await mutate('startGrokkingRun', {
      datasetId: encodeGlobalId('Dataset', twoHop),
      settings: { checkpoints: { steps: [0, 5] } },
    });
    const id = decodeGlobalId(run.id).id;
    const [, analysis] = await partsOf(id);
    await db.update(runs).set({ modelId }).where(eq(runs.id, analysis!.id));
    await cancelRun(db, id);
    const { run: again } = await mutate('retryRun', { id: run.id });
    const parts = await partsOf(decodeGlobalId(again.id).id);
    expect(parts.map(({ kind, step, phase, modelId: model }) => [kind, step, phase, model])).toEqual([
      ['MODEL', null, 'QUEUED', null],
      ['CHECKPOINT_ANALYSIS', 0, 'AWAITING_CHECKPOINT', null],
      ['CHECKPOINT_ANALYSIS', 5, 'AWAITING_CHECKPOINT', null],
    ]);
    const part = encodeGlobalId('CheckpointAnalysisRun', analysis!.id);
    expect(await mutate('retryRun', { id: part })).toMatchObject({ __typename: 'InputError', path: ['id'] });
    const cloned = await mutate('cloneRun', { id: run.id, model: { steps: 3 }, analysis: { layer: 0 } });
    expect((await rowOf(cloned.run.id)).settings).toMatchObject({
      ...{ steps: [0], model: { steps: 3 }, analysis: { layer: 0 } },
    });
  });
});

describe('cloneRun', () => {
  it('changes what is said and keeps the rest, also within settings of settings', async () => {
    const settings = { preset: 'COUNTERFACTUAL', nFree: 20, pretrain: { steps: 9, batchSize: 3 }, seed: 8 };
    const { run } = await startAlignment(settings);
    const change = { layer: 1, pretrain: { steps: 4 }, weights: { silence: 1 } };
    const { run: clone } = await mutate('cloneRun', { id: run.id, name: 'Other', alignment: change });
    expect(clone).toMatchObject({ name: 'Other', kind: 'ALIGNMENT', copyOf: { id: run.id } });
    const before = (await rowOf(run.id)).settings as Data;
    expect((await rowOf(clone.id)).settings).toEqual({
      ...before,
      layer: 1,
      pretrain: { ...before.pretrain, steps: 4 },
      weights: { ...ALIGNMENT_PRESETS.COUNTERFACTUAL.weights, silence: 1 },
    });
    // Without any change it is the same once more.
    const same = await mutate('cloneRun', { id: run.id });
    expect(essence(await rowOf(same.run.id))).toEqual(essence(await rowOf(run.id)));
  });

  it('keeps the SAE that an evaluation measures, and the model that a training begins with', async () => {
    const { db } = api.database;
    const [sae] = await db
      .insert(saes)
      .values({
        ...{ name: 's', modelId, datasetId, layer: 0, source: { kind: 'DIRECTORY', path: 'p', file: 'f' } },
        config: { dModel: 8, nFree: 4, nConcepts: 0, activation: 'RELU', k: 1 },
        artifactHash: (await db.query.models.findFirst())!.artifactHash,
      })
      .returning();
    const evaluation = await mutate('startSaeEvaluation', { saeId: encodeGlobalId('Sae', sae!.id) });
    const copies = [await mutate('cloneRun', { id: evaluation.run.id })];
    await cancelRun(db, decodeGlobalId(evaluation.run.id).id);
    copies.push(await mutate('retryRun', { id: evaluation.run.id }));
    for (const { run } of copies) {
      const runId = decodeGlobalId(run.id).id;
      expect(await db.select().from(usedSaes).where(eq(usedSaes.runId, runId))).toEqual([
        { runId, saeId: sae!.id },
      ]);
    }
    const tuned = await startModel({ modelId: encodeGlobalId('Model', modelId) });
    const { run } = await mutate('cloneRun', { id: tuned.run.id, model: { steps: 11 } });
    expect(await rowOf(run.id)).toMatchObject({
      initialModelId: modelId,
      settings: { steps: 11, initStd: null },
    });
  });

  it.each([
    ['settings of another kind', { alignment: { layer: 0 } }, ['alignment']],
    ['a value that is not acceptable', { model: { steps: 0 } }, ['model', 'steps']],
    ['values that do not go together', { model: { dModel: 30 } }, ['model', 'nHeads']],
    ['an id of no run', { id: () => encodeGlobalId('Model', modelId) }, ['id']],
  ])('refuses %s', async (_what, input: Data, path) => {
    const { run } = await startModel();
    const id = input.id?.() ?? run.id;
    expect(await mutate('cloneRun', { ...input, id })).toMatchObject({ __typename: 'InputError', path });
  });

  it('refuses a preset, and a layer where layers say it', async () => {
    const { run } = await startAlignment();
    const preset = await mutate('cloneRun', { id: run.id, alignment: { preset: 'PAPER' } });
    expect(preset).toMatchObject({ path: ['alignment', 'preset'] });
    const sweep = await mutate('startAlignmentSweep', {
      modelId: encodeGlobalId('Model', modelId),
      layers: [0],
    });
    const layer = await mutate('cloneRun', { id: sweep.run.id, alignment: { layer: 1 } });
    expect(layer).toMatchObject({ path: ['alignment', 'layer'] });
    const { run: wider } = await mutate('cloneRun', { id: sweep.run.id, alignment: { nFree: 12 } });
    const [part] = await partsOf(decodeGlobalId(wider.id).id);
    expect(part!.settings).toMatchObject({ nFree: 12, layer: 0 });
    const gone = await mutate('cloneRun', { id: encodeGlobalId('ModelRun', NOBODY) });
    expect(gone.__typename).toBe('NotFoundError');
  });

  it('does a swap sweep and two-hop swaps again on what they studied', async () => {
    const { db } = api.database;
    const { run: alignment } = await startAlignment();
    const worker = await insertWorker(db);
    const runId = decodeGlobalId(alignment.id).id;
    const { attempt } = (await claimRun(db, { runId, workerId: worker.id, backend: 'wasm' }))!;
    await finishRun(db, { runId, attempt }, {});
    const pairs = [{ source: 'birth_city', target: 'employer' }];
    const started = await mutate('startSwapSweep', {
      runId: alignment.id,
      pairs,
      settings: { controls: [] },
    });
    const clone = await mutate('cloneRun', { id: started.run.id, swapSweep: { alphas: [2] } });
    const before = await rowOf(started.run.id);
    expect(essence(await rowOf(clone.run.id))).toEqual({
      ...essence(before),
      settings: { ...before.settings, alphas: [2] },
    });
    const analysed = await insertQueuedRun(db, { kind: 'HOP_SWAP', datasetId, modelId } as never);
    const refused = await mutate('cloneRun', { id: encodeGlobalId('HopSwapRun', analysed.id), model: {} });
    expect(refused).toMatchObject({ path: ['model'] });
  });
});
