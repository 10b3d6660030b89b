import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { appendLogs, appendMetrics } from '../../src/db/queries/events.ts';
import { failRun, finishRun, readRun, reportProgress } from '../../src/db/queries/runs.ts';
import { artifacts, models } from '../../src/db/tables/index.ts';
import { decodeGlobalId, encodeGlobalId } from '../../src/schema/ids.ts';
import { insertRunningRun } from '../helpers/fixtures.ts';
import { type Api, type Data, openApi } from './api.ts';
import { contract } from './contract.ts';

const NOBODY = '00000000-0000-4000-8000-000000000000';
const HASH = 'a'.repeat(64);

let api: Api;
/** Global ids. */
let datasetId: string;
let modelId: string;
beforeAll(async () => {
  api = await openApi();
  const { generateDataset } = await api.ask(contract('GenerateDataset'), { input: { people: 2 } });
  datasetId = generateDataset.dataset.id;
  modelId = await insertModel();
});
afterAll(() => api.close());

/** A model of four layers, as training would have stored it. */
async function insertModel(): Promise<string> {
  const { db } = api.database;
  await db.insert(artifacts).values({ hash: HASH, bytes: 1, kind: 'MODEL' });
  const config = { nLayers: 4, nHeads: 4, dModel: 64, dMlp: 256, nCtx: 32, dVocab: 300, layerNormEps: 1e-5 };
  const [model] = await db
    .insert(models)
    .values({
      ...{ name: 'Tiny', config, tokenizer: {}, nParams: 3e9, accuracy: { TRAIN: 1 }, artifactHash: HASH },
      datasetId: decodeGlobalId(datasetId).id,
    })
    .returning();
  return encodeGlobalId('Model', model!.id);
}

const start = async (operation: string, input: object) => {
  const data = await api.ask(contract(operation), { input });
  return Object.values(data)[0] as Data;
};
const stored = (run: { id: string }) => readRun(api.database.db, decodeGlobalId(run.id).id);
/** A run in a worker's hands, with the claim by which to write to it. */
async function startRunning() {
  const run = await insertRunningRun(api.database.db);
  return { ...run, globalId: encodeGlobalId('ModelRun', run.id) };
}

describe('startModelRun', () => {
  it('queues a run at once, with the settings given and defaults for the rest', async () => {
    const { run } = await start('StartModelRun', {
      datasetId,
      settings: { nLayers: 2, steps: 10, seed: null },
    });
    expect(run).toEqual({ id: expect.any(String), kind: 'MODEL', status: 'QUEUED' });
    expect((await stored(run))?.settings).toMatchObject({ nLayers: 2, steps: 10, dModel: 64, seed: 0 });
    const { node } = await api.ask(
      'query ($id: ID!) { node(id: $id) { ... on ModelRun { settings { nLayers dModel } model { id } dataset { id } } } }',
      { id: run.id },
    );
    expect(node).toEqual({ settings: { nLayers: 2, dModel: 64 }, model: null, dataset: { id: datasetId } });
  });

  it.each([
    ['a malformed id', { datasetId: 'x' }, ['datasetId']],
    ['an id of another type', { datasetId: () => modelId }, ['datasetId']],
    ['no width', { settings: { dModel: 0 } }, ['settings', 'dModel']],
    ['heads that do not divide the width', { settings: { nHeads: 5 } }, ['settings', 'nHeads']],
    ['a negative learning rate', { settings: { learningRate: -1 } }, ['settings', 'learningRate']],
  ])('refuses %s', async (_what, input: Data, path) => {
    const id = typeof input.datasetId === 'function' ? input.datasetId() : input.datasetId;
    const result = await start('StartModelRun', { ...input, datasetId: id ?? datasetId });
    expect(result).toMatchObject({ __typename: 'InputError', path });
  });

  it('refuses a dataset that does not exist', async () => {
    const id = encodeGlobalId('Dataset', NOBODY);
    const result = await start('StartModelRun', { datasetId: id });
    // By the id that was sent, which is all that a client knows of it.
    expect(result).toEqual({ __typename: 'NotFoundError', message: `Dataset "${id}" does not exist` });
  });

  it('refuses numbers that are none', async () => {
    const input = { datasetId, settings: { learningRate: 'NaN' } };
    const { errors } = await api.answer(contract('StartModelRun'), { input });
    expect(errors?.[0]?.message).toContain('Float cannot represent non numeric value: "NaN"');
    // As a literal GraphQL lets infinity pass.
    const literal = `mutation { startModelRun(input: { datasetId: "${datasetId}", settings: { learningRate: 1e999 } }) {
      ... on InputError { path } } }`;
    expect(await api.ask(literal)).toEqual({ startModelRun: { path: ['settings', 'learningRate'] } });
  });
});

describe('startAlignmentRun', () => {
  it('takes the paper’s settings unless others are named', async () => {
    const { run } = await start('StartAlignmentRun', { modelId });
    expect(run).toMatchObject({ kind: 'ALIGNMENT', status: 'QUEUED' });
    expect((await stored(run))?.settings).toMatchObject({
      preset: 'PAPER',
      weights: { ortho: 10, counterfactual: 0 },
    });
    const other = await start('StartAlignmentRun', {
      ...{ modelId, datasetId },
      settings: { preset: 'COUNTERFACTUAL', layer: 3, weights: { value: 0 }, posttrain: { steps: 7 } },
    });
    const ALIGNMENT = /* GraphQL */ `
      query ($id: ID!) {
        run(id: $id) {
          ... on AlignmentRun {
            layer chosenAlpha model { id name nParams accuracy(split: TRAIN) } swaps { alpha } slots { totalCount }
            binding(split: TRAIN) { accuracy } reconstruction(split: TRAIN) { fvu }
            settings { preset layer weights { counterfactual value recon } posttrain { steps batchSize } alphas }
          }
        }
      }
    `;
    expect((await api.ask(ALIGNMENT, { id: other.run.id })).run).toMatchObject({
      layer: 3,
      chosenAlpha: null,
      model: { id: modelId, name: 'Tiny', nParams: 3e9, accuracy: 1 },
      settings: {
        preset: 'COUNTERFACTUAL',
        weights: { counterfactual: 3, value: 0, recon: 1 },
        posttrain: { steps: 7, batchSize: 256 },
      },
      ...{ swaps: [], slots: { totalCount: 0 }, binding: null, reconstruction: null },
    });
  });

  it.each([
    ['a layer that the model does not have', { settings: { layer: 4 } }, ['settings', 'layer']],
    ['no free latents', { settings: { nFree: 0 } }, ['settings', 'nFree']],
    ['k above nFree', { settings: { activation: 'TOPK', nFree: 4, k: 5 } }, ['settings', 'k']],
    ['a negative weight', { settings: { weights: { bindMse: -1 } } }, ['settings', 'weights', 'bindMse']],
    ['no alphas', { settings: { alphas: [] } }, ['settings', 'alphas']],
    ['the id of a dataset for a model', { modelId: () => datasetId }, ['modelId']],
  ])('refuses %s', async (_what, input: Data, path) => {
    const id = input.modelId?.() ?? modelId;
    expect(await start('StartAlignmentRun', { ...input, modelId: id })).toMatchObject({
      __typename: 'InputError',
      path,
    });
  });

  it('refuses a model that does not exist', async () => {
    const result = await start('StartAlignmentRun', { modelId: encodeGlobalId('Model', NOBODY) });
    expect(result.__typename).toBe('NotFoundError');
  });
});

describe('cancelRun', () => {
  it('ends a run once', async () => {
    const { run } = await start('StartModelRun', { datasetId });
    const { cancelRun } = await api.ask(contract('CancelRun'), { id: run.id });
    expect(cancelRun).toEqual({ __typename: 'CancelRunSuccess', run: { id: run.id, status: 'CANCELLED' } });
    const again = await api.ask(contract('CancelRun'), { id: run.id });
    expect(again.cancelRun.__typename).toBe('ConflictError');
  });

  it('knows unknown and foreign ids', async () => {
    const cancel = async (id: string) => (await api.ask(contract('CancelRun'), { id })).cancelRun.__typename;
    expect(await cancel(encodeGlobalId('AlignmentRun', NOBODY))).toBe('NotFoundError');
    expect(await cancel(datasetId)).toBe('InputError');
  });
});

describe('runs', () => {
  it('lists by status, kind and dataset, newest first', async () => {
    const done = await startRunning();
    await finishRun(api.database.db, done.claim, {});
    const failed = await startRunning();
    await failRun(api.database.db, failed.claim, { code: 'ENGINE_FAILED', message: 'it broke' });
    const { runs } = await api.ask(contract('Runs'), { first: 5 });
    expect(runs).toMatchObject({
      totalCount: 1,
      edges: [{ node: { id: done.globalId, status: 'SUCCEEDED', phase: 'DONE', progress: 1, error: null } }],
    });
    const LIST = /* GraphQL */ `
      query ($filter: RunFilter) { runs(filter: $filter) { edges { node { id error { code message } createdAt } } } }
    `;
    const listed = async (filter: object) =>
      (await api.ask(LIST, { filter })).runs.edges.map((edge: Data) => edge.node) as Data[];
    expect(await listed({ status: ['FAILED'] })).toMatchObject([
      { id: failed.globalId, error: { code: 'ENGINE_FAILED', message: 'it broke' } },
    ]);
    const alignments = await listed({ kind: ['ALIGNMENT'], datasetId, modelId });
    expect(alignments.length).toBe(2);
    expect(alignments.every(({ id }) => decodeGlobalId(id).typename === 'AlignmentRun')).toBe(true);
    const times = (await listed({})).map(({ createdAt }) => createdAt);
    expect(times).toEqual([...times].sort().reverse());
    expect(times[0]).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
  });

  it('answers null for a run that does not exist, or is of another kind', async () => {
    const { run } = await start('StartModelRun', { datasetId });
    const foreign = encodeGlobalId('AlignmentRun', decodeGlobalId(run.id).id);
    expect(await api.ask('query ($id: ID!) { node(id: $id) { id } }', { id: foreign })).toEqual({
      node: null,
    });
    const unknown = await api.ask('query ($id: ID!) { run(id: $id) { id } }', {
      id: encodeGlobalId('ModelRun', NOBODY),
    });
    expect(unknown).toEqual({ run: null });
  });

  it('shows metrics by name, thinned on request, with what is not finite as null', async () => {
    const { claim, globalId: id } = await startRunning();
    const rows = Array.from({ length: 1000 }, (_, i) => ({
      step: i + 1,
      at: Date.now(),
      values: { loss: i === 500 ? Number.NaN : 1 / (i + 1), accuracy: i / 1000 },
    }));
    await appendMetrics(api.database.db, claim, rows);
    const { run } = await api.ask(contract('RunMetrics'), { id });
    expect(run.metrics).toMatchObject([{ name: 'loss' }]);
    expect(run.metrics[0].points.length).toBeLessThanOrEqual(500);
    expect(run.metrics[0].points[0]).toEqual({ step: 1, value: 1, at: expect.stringMatching(/Z$/) });
    const all = await api.ask(
      'query ($id: ID!) { run(id: $id) { metrics { name points { step value } } } }',
      { id },
    );
    expect(all.run.metrics.map((series: Data) => series.name)).toEqual(['accuracy', 'loss']);
    expect(all.run.metrics[1].points[500]).toEqual({ step: 501, value: null });
    const { errors } = await api.answer(
      'query ($id: ID!) { run(id: $id) { metrics(maxPoints: 1) { name } } }',
      { id },
    );
    expect(errors).toMatchObject([{ extensions: { code: 'INVALID_INPUT', path: ['maxPoints'] } }]);
  });
});

describe('runEvents', () => {
  const take = async (events: AsyncIterator<Data>, n: number): Promise<Data[]> => {
    const taken: Data[] = [];
    while (taken.length < n) {
      const { value, done } = await events.next();
      if (done) throw new Error(`ended after ${taken.length} events`);
      expect(value.errors).toBeUndefined();
      taken.push(value.data.runEvents);
    }
    return taken;
  };

  it('reads the newest lines of a log, oldest first', async () => {
    const { db } = api.database;
    const { claim, globalId: id } = await startRunning();
    const lines = ['one', 'two', 'three'].map((message, i) => ({ level: 'WARN' as const, message, at: i }));
    await appendLogs(db, claim, lines);
    const query = 'query ($id: ID!, $last: Int!) { run(id: $id) { log(last: $last) { at level message } } }';
    expect((await api.ask(query, { id, last: 2 })).run.log).toEqual([
      { at: '1970-01-01T00:00:00.001Z', level: 'WARN', message: 'two' },
      { at: '1970-01-01T00:00:00.002Z', level: 'WARN', message: 'three' },
    ]);
    expect((await api.answer(query, { id, last: 1001 })).errors?.[0]?.message).toBe(
      'last must be 0–1000, got 1001',
    );
  });

  it('tells what was and what comes, resumes by cursor without gap or double, and completes', async () => {
    const { db } = api.database;
    const { claim, globalId: id } = await startRunning();
    await appendLogs(db, claim, [{ level: 'INFO', message: 'hello', at: 1_700_000_000_000 }]);
    const events = await api.subscribe(contract('RunEvents'), { id });
    const past = await take(events, 3);
    expect(past.map(({ event }) => event)).toEqual([
      { __typename: 'RunStatusChanged', status: 'QUEUED', phase: 'QUEUED', progress: 0 },
      { __typename: 'RunStatusChanged', status: 'RUNNING', phase: 'STARTING', progress: 0 },
      { __typename: 'RunLogged', level: 'INFO', message: 'hello' },
    ]);
    expect(past[2].at).toBe('2023-11-14T22:13:20.000Z');
    const live = take(events, 1);
    await appendMetrics(db, claim, [
      { step: 1, at: 5, values: { loss: 2, 'loss/bind': Number.POSITIVE_INFINITY } },
    ]);
    const [metrics] = await live;
    expect(metrics.event).toEqual({
      ...{ __typename: 'MetricsLogged', step: 1 },
      metrics: [
        { name: 'loss', value: 2 },
        { name: 'loss/bind', value: null },
      ],
    });
    await events.return!();
    expect(await events.next()).toMatchObject({ done: true });

    const { cursor } = (await api.ask('query ($id: ID!) { run(id: $id) { cursor } }', { id })).run;
    expect(cursor).toBe(metrics.cursor);
    await reportProgress(db, claim, { phase: 'TRAIN', progress: 0.5, etaSeconds: 3 });
    const resumed = await api.subscribe(contract('RunEvents'), { id, after: past[1].cursor });
    const rest = await take(resumed, 3);
    expect(rest.map((message) => message.cursor)).toEqual([
      past[2].cursor,
      metrics.cursor,
      expect.any(String),
    ]);
    const last = take(resumed, 1);
    await finishRun(db, claim, {});
    expect((await last)[0].event).toMatchObject({ status: 'SUCCEEDED', progress: 1 });
    expect(await resumed.next()).toMatchObject({ done: true });
  });

  it('lets go of a subscriber that leaves while nothing happens', async () => {
    const { globalId: id } = await startRunning();
    const events = await api.subscribe(contract('RunEvents'), { id });
    await take(events, 2);
    const waiting = events.next();
    await events.return!();
    expect(await waiting).toMatchObject({ done: true });
  });

  it.each([
    ['an unknown run', { id: encodeGlobalId('ModelRun', NOBODY) }, { code: 'NOT_FOUND' }],
    ['a malformed id', { id: 'x' }, { code: 'INVALID_INPUT', path: ['id'] }],
    ['a malformed cursor', { after: 'x' }, { code: 'INVALID_INPUT', path: ['after'] }],
    ['a cursor from the future', { after: btoa('event:999') }, { code: 'INVALID_INPUT', path: ['after'] }],
  ])('refuses %s', async (_what, variables, error) => {
    const { globalId } = await startRunning();
    const subscribed = api.subscribe(contract('RunEvents'), { id: globalId, ...variables });
    await expect(subscribed).rejects.toMatchObject({ path: ['runEvents'], extensions: error });
  });
});

describe('engine', () => {
  it('answers the contract from the workers and the queue', async () => {
    const run = await startRunning();
    const { engine } = await api.ask(contract('Engine'));
    expect(engine).toMatchObject({
      backend: 'WASM',
      tensorflowVersion: null,
      devices: [],
      fallbackReason: null,
    });
    expect(engine.queue.running).toBeGreaterThan(0);
    expect(engine.queue.queued).toBeGreaterThan(0);
    expect(engine.workers.at(-1)).toMatchObject({ runs: [{ id: run.globalId }] });
    const products = 'products { shape trials { rows columns panelBytes gigaflops chosen } }';
    const { node, of } = await api.ask(
      `query ($id: ID!) { node(id: $id) { ... on Worker { hostname ${products} } } of: engine { ${products} } }`,
      { id: engine.workers.at(-1).id },
    );
    const trial = { rows: 8, columns: 48, panelBytes: 393_216, gigaflops: 90.5, chosen: true };
    const measured = [{ shape: 'FEW_ROWS', trials: [trial] }];
    expect(node).toEqual({ hostname: 'test', products: measured });
    expect(of).toEqual({ products: measured });
  });
});
