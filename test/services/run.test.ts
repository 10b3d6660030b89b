import { randomUUID } from 'node:crypto';
import { sql } from 'drizzle-orm';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Database, Db } from '../../src/db/client.ts';
import { datasets, ontologies } from '../../src/db/tables/index.ts';
import { prepareQueue } from '../../src/jobs/queue.ts';
import { startAlignmentRun } from '../../src/runs/alignment.ts';
import { startModelRun } from '../../src/runs/model.ts';
import { generateDataset } from '../../src/services/datasetCreation.ts';
import { cancelRun, getRun, listRuns } from '../../src/services/run.ts';
import { CODE_VERSION } from '../../src/version.ts';
import { createTestDatabase } from '../helpers/database.ts';
import { insertDataset, insertModel } from '../helpers/fixtures.ts';
import { silentLog } from '../helpers/log.ts';

let database: Database;
let db: Db;
let dataset: typeof datasets.$inferSelect;
let modelId: string;

beforeAll(async () => {
  database = await createTestDatabase();
  db = database.db;
  await prepareQueue(database.pool, silentLog);
  dataset = await generateDataset(db, { people: 3, seed: 0 });
  modelId = await insertModel(db, dataset.id);
});
afterAll(() => database.close());

async function jobsOf(runId: string): Promise<number> {
  const { rows } = await db.execute(sql`select 1 from graphile_worker.jobs where key = ${`run:${runId}`}`);
  return rows.length;
}

const count = async () => (await listRuns(db, {}, {})).totalCount();

describe('startModelRun', () => {
  it('stores the settings whole and puts the run into the queue', async () => {
    const run = await startModelRun(db, { datasetId: dataset.id, settings: { steps: 7, seed: 3 } });
    expect(run).toMatchObject({
      ...{ kind: 'MODEL', status: 'QUEUED', seed: 3, datasetId: dataset.id, modelId: null },
      ...{ datasetHash: dataset.contentHash, codeVersion: CODE_VERSION },
      settings: { steps: 7, seed: 3, nLayers: 4, learningRate: 4e-3, clipNorm: 1 },
    });
    expect(CODE_VERSION).toMatch(/^\d+\.\d+\.\d+(\+[0-9a-f]{12})?$/);
    expect(await jobsOf(run.id)).toBe(1);
  });

  it.each([
    ['learningRate', Number.NaN],
    ['learningRate', Number.POSITIVE_INFINITY],
    ['nLayers', 0],
    ['steps', 1.5],
    ['nHeads', 3],
  ])('refuses %s %d, naming it, and queues nothing', async (setting, value) => {
    const before = await count();
    await expect(
      startModelRun(db, { datasetId: dataset.id, settings: { [setting]: value } }),
    ).rejects.toMatchObject({ code: 'INVALID_INPUT', path: ['settings', setting] });
    expect(await count()).toBe(before);
  });

  it('refuses a dataset that does not exist or holds nothing to learn', async () => {
    await expect(startModelRun(db, { datasetId: randomUUID() })).rejects.toMatchObject({ code: 'NOT_FOUND' });
    const empty = await insertDataset(db);
    await expect(startModelRun(db, { datasetId: empty })).rejects.toMatchObject({
      ...{ code: 'INVALID_INPUT', path: ['datasetId'] },
      message: /nothing in its TRAIN split/,
    });
  });
});

describe('startAlignmentRun', () => {
  it("takes the model's own dataset and the preset PAPER where nothing else is said", async () => {
    const run = await startAlignmentRun(db, { modelId, settings: { nFree: 9, k: 4 } });
    expect(run).toMatchObject({
      ...{ kind: 'ALIGNMENT', status: 'QUEUED', modelId, datasetId: dataset.id },
      settings: { preset: 'PAPER', nFree: 9, layer: 0, weights: { recon: 1 } },
    });
    expect(await jobsOf(run.id)).toBe(1);
  });

  it.each([
    [{ layer: 2 }, ['settings', 'layer'], /0–1/],
    [{ nFree: 0 }, ['settings', 'nFree'], /./],
    [{ weights: { ortho: Number.NaN } }, ['settings', 'weights', 'ortho'], /./],
    [{ nFree: 8, k: 9, activation: 'TOPK' as const }, ['settings', 'k'], /nFree/],
  ])('refuses %o', async (settings, path, message) => {
    await expect(startAlignmentRun(db, { modelId, settings })).rejects.toMatchObject({
      ...{ code: 'INVALID_INPUT', path, message },
    });
  });

  it('refuses a model or a dataset that cannot be studied', async () => {
    await expect(startAlignmentRun(db, { modelId: randomUUID() })).rejects.toMatchObject({
      code: 'NOT_FOUND',
    });
    const [foreign] = await db
      .insert(ontologies)
      .values({ slug: 'foreign', version: 1, name: 'F' })
      .returning();
    const [other] = await db
      .insert(datasets)
      .values({ ontologyId: foreign!.id, name: 'Other', kind: 'PROMPTS', settings: {}, contentHash: 'x' })
      .returning();
    await expect(startAlignmentRun(db, { modelId, datasetId: other!.id })).rejects.toMatchObject({
      ...{ code: 'INVALID_INPUT', path: ['datasetId'], message: /another ontology/ },
    });
    await expect(startAlignmentRun(db, { modelId: await insertModel(db, null) })).rejects.toMatchObject({
      ...{ code: 'INVALID_INPUT', path: ['datasetId'] },
    });
  });
});

describe('cancelRun', () => {
  it('takes a waiting run off the queue, once', async () => {
    const { id } = await startModelRun(db, { datasetId: dataset.id });
    expect(await cancelRun(db, id)).toMatchObject({ status: 'CANCELLED' });
    expect(await jobsOf(id)).toBe(0);
    expect((await getRun(db, id)).finishedAt).not.toBeNull();
    await expect(cancelRun(db, id)).rejects.toMatchObject({ code: 'CONFLICT', message: /CANCELLED/ });
    await expect(cancelRun(db, randomUUID())).rejects.toMatchObject({ code: 'NOT_FOUND' });
  });
});

describe('listRuns', () => {
  it('filters by status, kind and dataset, newest first', async () => {
    const waiting = await startModelRun(db, { datasetId: dataset.id });
    const { edges } = await listRuns(db, { status: ['QUEUED'], kind: ['MODEL'], datasetId: dataset.id }, {});
    expect(edges[0]!.node.id).toBe(waiting.id);
    expect(edges.every(({ node }) => node.status === 'QUEUED' && node.kind === 'MODEL')).toBe(true);
    expect((await listRuns(db, { status: ['RUNNING'] }, {})).edges).toEqual([]);
  });
});
