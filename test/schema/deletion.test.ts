import { createHash, randomUUID } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { eq } from 'drizzle-orm';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { storeArtifact } from '../../src/db/queries/artifacts.ts';
import { appendMetrics } from '../../src/db/queries/events.ts';
import { insertParts } from '../../src/db/queries/runs.ts';
import { metricPoints, modelCheckpoints, models, runs } from '../../src/db/tables/index.ts';
import { encodeGlobalId } from '../../src/schema/ids.ts';
import {
  finishQueuedRun,
  insertDataset,
  insertQueuedRun,
  insertRunningRun,
  newRun,
} from '../helpers/fixtures.ts';
import { type Api, openApi } from './api.ts';
import { contract } from './contract.ts';

let api: Api;
beforeAll(async () => {
  api = await openApi();
});
afterAll(() => api.close());

/** A file in the store, of `bytes` bytes. */
async function store(bytes: number, content: string = randomUUID()): Promise<string> {
  const data = Buffer.alloc(bytes, content);
  const sha256 = createHash('sha256').update(data).digest('hex');
  const path = api.dependencies.store.newPath();
  await writeFile(path, data);
  const { db } = api.database;
  await db.transaction((tx) => storeArtifact(tx, api.dependencies.store, { path, sha256, bytes }, 'MODEL'));
  return sha256;
}

async function insertModel(datasetId: string | null, artifactHash: string): Promise<string> {
  const config = { nLayers: 2, nHeads: 2, dModel: 8, dMlp: 32, nCtx: 32, dVocab: 10, layerNormEps: 1e-5 };
  const [model] = await api.database.db
    .insert(models)
    .values({ name: 'm', datasetId, config, tokenizer: {}, nParams: 1, accuracy: {}, artifactHash })
    .returning();
  return model!.id;
}

/** A dataset, a model trained on it by a run, and an alignment that studies it. */
async function insertTrained() {
  const { db } = api.database;
  const datasetId = await insertDataset(db);
  const hash = await store(1000);
  const modelId = await insertModel(datasetId, hash);
  const training = await insertQueuedRun(db, { datasetId, kind: 'MODEL' });
  await finishQueuedRun(db, training.id, { modelId });
  const alignment = await insertQueuedRun(db, { datasetId, kind: 'ALIGNMENT', modelId });
  await finishQueuedRun(db, alignment.id);
  const sae = await store(200);
  await db.update(runs).set({ artifactHash: sae }).where(eq(runs.id, alignment.id));
  return { datasetId, modelId, hash, sae, training: training.id, alignment: alignment.id };
}

const remove = async (what: 'Run' | 'Model' | 'Dataset', id: string, cascade?: boolean) =>
  (await api.ask(contract(`Delete${what}`), { id, cascade }))[`delete${what}`];
const has = (hash: string) => api.dependencies.store.has(hash);
const ids = async () => (await api.database.db.select({ id: runs.id }).from(runs)).map(({ id }) => id);

describe('deletion', () => {
  it('deletes a run that nothing rests on, with its metrics and its file', async () => {
    const { alignment, sae, modelId } = await insertTrained();
    const id = encodeGlobalId('AlignmentRun', alignment);
    const told = await api.ask('query ($id: ID!) { run(id: $id) { storage } }', { id });
    expect(told).toEqual({ run: { storage: 200 } });
    expect(await remove('Run', id)).toEqual({ __typename: 'DeleteSuccess', ids: [id], freedBytes: 200 });
    expect(await has(sae)).toBe(false);
    expect(await ids()).not.toContain(alignment);
    expect(await api.database.db.select().from(models).where(eq(models.id, modelId))).toHaveLength(1);
    expect((await remove('Run', id)).__typename).toBe('NotFoundError');
  });

  it('names what rests on a dataset, and deletes all of it only when asked to', async () => {
    const { datasetId, modelId, training, alignment, hash, sae } = await insertTrained();
    const id = encodeGlobalId('Dataset', datasetId);
    const text = `mutation ($id: ID!) { deleteDataset(input: { id: $id }) { __typename
      ... on ConflictError { message dependants { id type name } } } }`;
    const { deleteDataset } = await api.ask(text, { id });
    expect(deleteDataset).toMatchObject({
      __typename: 'ConflictError',
      message: expect.stringContaining('cascade: true'),
      dependants: [
        { id: encodeGlobalId('Model', modelId), type: 'Model', name: 'm' },
        { id: encodeGlobalId('ModelRun', training), type: 'ModelRun', name: null },
        { id: encodeGlobalId('AlignmentRun', alignment), type: 'AlignmentRun', name: null },
      ],
    });
    expect(await has(hash)).toBe(true);
    const gone = await remove('Dataset', id, true);
    expect(gone).toMatchObject({ __typename: 'DeleteSuccess', freedBytes: 1200 });
    expect(gone.ids).toHaveLength(4);
    expect([await has(hash), await has(sae)]).toEqual([false, false]);
    expect(await ids()).not.toContain(training);
  });

  it('keeps a file that something else uses', async () => {
    const { modelId, hash } = await insertTrained();
    await insertModel(null, hash);
    const gone = await remove('Model', encodeGlobalId('Model', modelId), true);
    expect(gone).toMatchObject({ __typename: 'DeleteSuccess', freedBytes: 200 });
    expect(await has(hash)).toBe(true);
  });

  it('refuses what is queued or runs, also among dependants, and changes nothing', async () => {
    const { db } = api.database;
    const running = await insertRunningRun(db);
    await appendMetrics(db, running.claim, [{ step: 1, at: 1, values: { loss: 1 } }]);
    const refused = await remove('Run', encodeGlobalId('ModelRun', running.id), true);
    expect(refused).toMatchObject({
      __typename: 'ConflictError',
      message: expect.stringContaining('is RUNNING'),
    });
    const { datasetId } = running;
    expect((await remove('Dataset', encodeGlobalId('Dataset', datasetId), true)).__typename).toBe(
      'ConflictError',
    );
    const points = await db.select().from(metricPoints).where(eq(metricPoints.runId, running.id));
    expect(points).toHaveLength(1);
  });

  it('takes parts and kept models along with the whole, and refuses a part alone', async () => {
    const { db } = api.database;
    const datasetId = await insertDataset(db);
    const parent = await insertQueuedRun(db, { datasetId, kind: 'GROKKING' });
    const [part] = await insertParts(db, parent, [newRun({ datasetId, kind: 'MODEL' })]);
    const kept = await insertModel(datasetId, await store(50));
    await db.insert(modelCheckpoints).values({ runId: part!.id, step: 1, modelId: kept });
    await finishQueuedRun(db, part!.id);
    const ended = { status: 'SUCCEEDED' as const, finishedAt: new Date() };
    await db.update(runs).set(ended).where(eq(runs.id, parent.id));
    const alone = await remove('Run', encodeGlobalId('ModelRun', part!.id));
    expect(alone).toMatchObject({
      __typename: 'ConflictError',
      message: expect.stringContaining(`the GROKKING run ${parent.id}`),
    });
    const id = encodeGlobalId('GrokkingRun', parent.id);
    expect((await api.ask('query ($id: ID!) { run(id: $id) { storage } }', { id })).run.storage).toBe(50);
    expect(await remove('Run', id)).toMatchObject({ __typename: 'DeleteSuccess', freedBytes: 50 });
    expect(await ids()).not.toContain(part!.id);
  });

  it('finds a run that is started while it waits', async () => {
    const { db } = api.database;
    const datasetId = await insertDataset(db);
    let removal: Promise<unknown> = Promise.resolve();
    await db.transaction(async (tx) => {
      await insertQueuedRun(tx as never, { datasetId });
      removal = remove('Dataset', encodeGlobalId('Dataset', datasetId), true);
      // It must be at the lock before this transaction ends, or there is nothing to see.
      for (;;) {
        const { rows } = await db.execute(
          "select 1 from pg_stat_activity where wait_event_type = 'Lock' and query like '%for update%' and datname = current_database()",
        );
        if (rows.length > 0) break;
      }
    });
    expect(await removal).toMatchObject({
      __typename: 'ConflictError',
      message: expect.stringContaining('QUEUED'),
    });
  });
});
