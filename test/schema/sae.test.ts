import { eq } from 'drizzle-orm';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { faithfulness, runs, saes, splitMeasures, usedSaes } from '../../src/db/tables/index.ts';
import { encodeGlobalId } from '../../src/schema/ids.ts';
import { loadSaePair, readSae } from '../../src/services/sae.ts';
import { finishQueuedRun } from '../helpers/fixtures.ts';
import { storeTinyAlignment, type TinyAlignment } from '../helpers/tinyAlignment.ts';
import { type Api, openApi } from './api.ts';

let api: Api;
let tiny: TinyAlignment;
beforeAll(async () => {
  api = await openApi();
  tiny = await storeTinyAlignment(api.database.db, api.dependencies.store);
});
afterAll(() => api.close());

const OF_RUN = `query ($id: ID!) { run(id: $id) { ... on AlignmentRun { sae { id } } } }`;
const idOfRun = ({ runId }: TinyAlignment) => encodeGlobalId('AlignmentRun', runId);
const saeOf = async (of: TinyAlignment): Promise<string> =>
  (await api.ask(OF_RUN, { id: idOfRun(of) })).run.sae.id;

describe('Sae', () => {
  it('is what a run trained, found from either side', async () => {
    const id = await saeOf(tiny);
    const { sae } = await api.ask(
      `query ($id: ID!) { sae(id: $id) { id name tags notes architecture dModel nLatents nSlots layer k storage
        artifactHash model { id } dataset { id } run { id } } }`,
      { id },
    );
    const [run] = await api.database.db.select().from(runs).where(eq(runs.id, tiny.runId));
    expect(sae).toMatchObject({
      ...{ id, name: 'SAE of tiny, block 1', tags: [], notes: '', architecture: 'RELU', k: null },
      ...{ dModel: 8, nLatents: 7, nSlots: 3, layer: 1, artifactHash: run!.artifactHash },
      model: { id: encodeGlobalId('Model', tiny.modelId) },
      dataset: { id: encodeGlobalId('Dataset', tiny.datasetId) },
      run: { id: idOfRun(tiny) },
    });
    expect(sae.storage).toBeGreaterThan(0);
    expect((await api.ask('query ($id: ID!) { node(id: $id) { id } }', { id })).node).toEqual({ id });
  });

  it('is listed by model, layer and origin', async () => {
    const other = await storeTinyAlignment(api.database.db, api.dependencies.store, { kind: 'BASELINE' });
    const list = async (filter: object) =>
      (
        await api.ask(
          'query ($filter: SaeFilter) { saes(filter: $filter) { totalCount nodes: edges { node { id } } } }',
          {
            filter,
          },
        )
      ).saes;
    const modelId = encodeGlobalId('Model', tiny.modelId);
    expect(await list({ modelId })).toEqual({
      totalCount: 1,
      nodes: [{ node: { id: await saeOf(tiny) } }],
    });
    expect((await list({ layer: 1, isImported: false })).totalCount).toBe(2);
    expect((await list({ layer: 0 })).totalCount).toBe(0);
    expect((await list({ isImported: true })).totalCount).toBe(0);
    const ofModel = await api.ask(
      'query ($id: ID!) { node(id: $id) { ... on Model { saes { totalCount } } } }',
      {
        id: encodeGlobalId('Model', other.modelId),
      },
    );
    expect(ofModel.node.saes.totalCount).toBe(1);
  });

  it('resolves to files that the engine can read', async () => {
    const [row] = await api.database.db.select().from(saes).where(eq(saes.runId, tiny.runId));
    const pair = await loadSaePair(api.dependencies, await readSae(api.database.db, row!.id));
    expect(pair.sae).toBe(await api.dependencies.store.path(row!.artifactHash, 'it'));
    expect(pair.model.config.dModel).toBe(8);
    await expect(readSae(api.database.db, crypto.randomUUID())).rejects.toMatchObject({ code: 'NOT_FOUND' });
  });

  it('is named, tagged and annotated', async () => {
    const id = await saeOf(tiny);
    const text = `mutation ($input: UpdateSaeInput!) { updateSae(input: $input) { __typename
      ... on UpdateSaeSuccess { sae { name tags notes } } ... on InputError { path } } }`;
    const update = async (input: object) => (await api.ask(text, { input: { id, ...input } })).updateSae;
    expect(await update({ name: 'Mine', tags: ['x'], notes: 'y' })).toEqual({
      __typename: 'UpdateSaeSuccess',
      sae: { name: 'Mine', tags: ['x'], notes: 'y' },
    });
    expect(await update({ name: '' })).toEqual({ __typename: 'InputError', path: ['name'] });
  });

  it('goes with its run, and takes its run along when that is asked for', async () => {
    const first = await storeTinyAlignment(api.database.db, api.dependencies.store);
    const id = await saeOf(first);
    const text = `mutation ($id: ID!, $cascade: Boolean) { deleteSae(input: { id: $id, cascade: $cascade }) { __typename
      ... on ConflictError { dependants { id } } ... on DeleteSuccess { ids } } }`;
    expect((await api.ask(text, { id })).deleteSae).toEqual({
      __typename: 'ConflictError',
      dependants: [{ id: idOfRun(first) }],
    });
    const { deleteSae } = await api.ask(text, { id, cascade: true });
    expect(new Set(deleteSae.ids)).toEqual(new Set([id, idOfRun(first)]));
    const second = await storeTinyAlignment(api.database.db, api.dependencies.store);
    const own = await saeOf(second);
    const { deleteRun } = await api.ask(
      'mutation ($id: ID!) { deleteRun(input: { id: $id }) { ... on DeleteSuccess { ids } } }',
      { id: idOfRun(second) },
    );
    expect(new Set(deleteRun.ids)).toEqual(new Set([own, idOfRun(second)]));
  });

  it('is kept while a run makes use of it', async () => {
    const { db } = api.database;
    const user = await storeTinyAlignment(db, api.dependencies.store);
    const used = await storeTinyAlignment(db, api.dependencies.store, { kind: 'BASELINE' });
    const [row] = await db.select().from(saes).where(eq(saes.runId, used.runId));
    await db.insert(usedSaes).values({ runId: user.runId, saeId: row!.id });
    const ask = `query ($id: ID!) { run(id: $id) { ... on AlignmentRun { pretrainedSae { id } } } }`;
    const id = encodeGlobalId('Sae', row!.id);
    expect((await api.ask(ask, { id: idOfRun(user) })).run.pretrainedSae).toEqual({ id });
    const text = `mutation ($id: ID!) { deleteRun(input: { id: $id }) { __typename
      ... on ConflictError { dependants { id } } } }`;
    expect((await api.ask(text, { id: encodeGlobalId('BaselineRun', used.runId) })).deleteRun).toEqual({
      __typename: 'ConflictError',
      // With its own SAE.
      dependants: [{ id: await saeOf(user) }, { id: idOfRun(user) }],
    });
  });

  it('shows what its run measured where it learned, and what an evaluation measured later', async () => {
    const { db } = api.database;
    const stored = await storeTinyAlignment(db, api.dependencies.store);
    const id = await saeOf(stored);
    const text = `query ($id: ID!) { sae(id: $id) { reconstruction(split: TRAIN) { fvu l0 deadLatents }
      faithfulness(split: TRAIN) { replacement } evaluations { id status } } }`;
    const ask = async () => (await api.ask(text, { id })).sae;
    expect(await ask()).toEqual({ reconstruction: null, faithfulness: [], evaluations: [] });
    const binding = {
      top3: 1,
      top5: 1,
      diagonalAccuracy: 1,
      diagonalStrength: 1,
      matrix: [],
      conceptAccuracy: [],
    };
    const measured = { split: 'TRAIN', examples: 9, accuracy: 1, ...binding, l0: 2, deadLatents: 0 } as const;
    await db.insert(splitMeasures).values({ ...measured, runId: stored.runId, fvu: 0.5 });
    expect((await ask()).reconstruction).toEqual({ fvu: 0.5, l0: 2, deadLatents: 0 });
    const start = `mutation ($id: ID!) { startSaeEvaluation(input: { saeId: $id }) { __typename
      ... on StartRunSuccess { run { id } } ... on InputError { message path } } }`;
    const { run } = (await api.ask(start, { id })).startSaeEvaluation;
    expect(await ask()).toMatchObject({
      reconstruction: { fvu: 0.5 },
      evaluations: [{ id: run.id, status: 'QUEUED' }],
    });
    const runId = Buffer.from(run.id, 'base64').toString().split(':')[1]!;
    await finishQueuedRun(db, runId);
    await db.insert(splitMeasures).values({ ...measured, runId, fvu: 0.25 });
    await db.insert(faithfulness).values({
      ...{ runId, split: 'TRAIN', replacement: 'CLEAN' },
      prompts: 9,
      correct: 9,
      crossEntropy: 0,
    });
    expect(await ask()).toMatchObject({
      reconstruction: { fvu: 0.25 },
      faithfulness: [{ replacement: 'CLEAN' }],
    });
  });
});
