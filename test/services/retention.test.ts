import { createHash, randomBytes } from 'node:crypto';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { eq } from 'drizzle-orm';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { ArtifactStore } from '../../src/db/artifactStore.ts';
import { storeArtifact } from '../../src/db/queries/artifacts.ts';
import { appendLogs } from '../../src/db/queries/events.ts';
import { failRun, finishRun } from '../../src/db/queries/runs.ts';
import {
  artifacts,
  auditEntries,
  collections,
  models,
  runEvents,
  runs,
  saes,
  usedSaes,
  workers,
} from '../../src/db/tables/index.ts';
import { collectIfDue } from '../../src/jobs/retention.ts';
import {
  ageOf,
  collectByRules,
  type RetentionAges,
  type RetentionPolicyName,
  readRetention,
} from '../../src/services/retention.ts';
import { insertModel, insertRunningRun } from '../helpers/fixtures.ts';
import { silentLog } from '../helpers/log.ts';
import { type Api, openApi } from '../schema/api.ts';

const HOUR = 3_600_000;
const NEVER: RetentionAges = { DAMAGED: null, EVENTS: null, FAILED_RUNS: null, RESULTS: null, AUDIT: null };

let api: Api;
let store: ArtifactStore;
beforeAll(async () => {
  api = await openApi();
  store = api.dependencies.store;
});
afterAll(() => api.close());
beforeEach(async () => {
  const tables = 'used_saes saes runs models artifacts audit_entries collections workers'.split(' ');
  await api.database.pool.query(tables.map((table) => `delete from ${table}`).join(';'));
});

const db = () => api.database.db;
const work = () => ({ db: db(), store });
const fail = (policy: RetentionPolicyName, error: unknown) => {
  throw new Error(`${policy}: ${error}`);
};
/** What a round takes, by rule. */
const collect = async (ages: Partial<RetentionAges>) =>
  Object.fromEntries(await collectByRules(work(), { ...NEVER, ...ages }, { onFailure: fail }));
const due = async (policy: RetentionPolicyName, ages: Partial<RetentionAges>) =>
  (await readRetention(work(), { ...NEVER, ...ages })).find((state) => state.policy === policy)!.due;

/** A file of a kilobyte in the store. */
async function keepFile(kind: 'MODEL' | 'SAE'): Promise<string> {
  const bytes = randomBytes(1024);
  const path = store.newPath();
  await writeFile(path, bytes);
  const sha256 = createHash('sha256').update(bytes).digest('hex');
  return db().transaction((tx) => storeArtifact(tx, store, { path, sha256, bytes: 1024 }, kind));
}
/** A run that ended two hours ago, with a file of its own. */
async function insertEnded(status: 'SUCCEEDED' | 'FAILED', values: object = {}) {
  const run = await insertRunningRun(db(), values);
  const artifactHash = await keepFile('SAE');
  if (status === 'FAILED') await failRun(db(), run.claim, { code: 'X', message: 'x' });
  else await finishRun(db(), run.claim, { artifactHash });
  await db()
    .update(runs)
    .set({ finishedAt: new Date(Date.now() - 2 * HOUR) })
    .where(eq(runs.id, run.id));
  return { ...run, artifactHash };
}
const isThere = async (id: string) => (await db().select().from(runs).where(eq(runs.id, id))).length > 0;

/** A training that ended long ago, with the model that it made. */
async function endTraining() {
  const training = await insertRunningRun(db());
  const modelId = await insertModel(db(), training.datasetId);
  await finishRun(db(), training.claim, { modelId });
  await db()
    .update(runs)
    .set({ finishedAt: new Date(0) })
    .where(eq(runs.id, training.id));
  return { training, modelId };
}

describe('runs that have ended', () => {
  it('stay, unless their rule says otherwise and they are old enough', async () => {
    const good = await insertEnded('SUCCEEDED');
    const bad = await insertEnded('FAILED');
    expect(await collect({})).toEqual({});
    expect(await collect({ RESULTS: 3 * HOUR, FAILED_RUNS: 3 * HOUR })).toEqual({});
    expect(await due('FAILED_RUNS', { FAILED_RUNS: HOUR })).toEqual({ items: 1, bytes: 0 });
    expect((await collect({ FAILED_RUNS: HOUR })).FAILED_RUNS).toEqual({ items: 1, bytes: 0 });
    expect([await isThere(good.id), await isThere(bad.id)]).toEqual([true, false]);
    expect(await due('RESULTS', { RESULTS: HOUR })).toEqual({ items: 1, bytes: 1024 });
    expect((await collect({ RESULTS: HOUR })).RESULTS).toEqual({ items: 1, bytes: 1024 });
    expect(await store.has(good.artifactHash)).toBe(false);
    expect(await isThere(good.id)).toBe(false);
  });

  it('go with the model that they made, and with all models that they kept', async () => {
    await endTraining();
    expect(await due('RESULTS', { RESULTS: HOUR })).toEqual({ items: 1, bytes: 1 });
    await collect({ RESULTS: HOUR });
    expect(await db().select().from(models)).toEqual([]);
  });

  it.each([
    [
      'a run that waits and studies its model',
      async (modelId: string, datasetId: string) => {
        await insertRunningRun(db(), { kind: 'ALIGNMENT', modelId, datasetId });
      },
    ],
    [
      'a run that began with its model',
      async (modelId: string, datasetId: string) => {
        const { id } = await insertEnded('FAILED', { datasetId, initialModelId: modelId });
        await db().update(runs).set({ finishedAt: new Date() }).where(eq(runs.id, id));
      },
    ],
    [
      'an SAE from elsewhere',
      async (modelId: string) => {
        await db()
          .insert(saes)
          .values({
            ...{ name: 's', modelId, layer: 0, source: { kind: 'DIRECTORY', path: 'p', file: 'f' } },
            config: { dModel: 8, nFree: 4, nConcepts: 0, activation: 'RELU', k: 1 },
            artifactHash: await keepFile('SAE'),
          });
      },
    ],
    [
      'a tag on its model',
      async (modelId: string) => {
        await db()
          .update(models)
          .set({ tags: ['keep'] })
          .where(eq(models.id, modelId));
      },
    ],
  ])('stay while %s needs them', async (_what, need) => {
    const { training, modelId } = await endTraining();
    await need(modelId, training.datasetId);
    expect(await due('RESULTS', { RESULTS: HOUR })).toEqual({ items: 0, bytes: 0 });
    await collect({ RESULTS: HOUR });
    expect(await isThere(training.id)).toBe(true);
  });

  it('go one after the other where one rested on the other, and not while the other is young', async () => {
    const datasetId = (await insertEnded('FAILED')).datasetId;
    const modelId = await insertModel(db(), datasetId);
    const alignment = await insertEnded('SUCCEEDED', { kind: 'ALIGNMENT', modelId, datasetId });
    const values = { kind: 'SWAP_SWEEP', modelId, datasetId, alignmentRunId: alignment.id };
    const sweep = await insertEnded('SUCCEEDED', values);
    const [sae] = await db()
      .insert(saes)
      .values({
        ...{ name: 's', modelId, layer: 0, runId: alignment.id, artifactHash: alignment.artifactHash },
        config: { dModel: 8, nFree: 4, nConcepts: 0, activation: 'RELU', k: 1 },
      })
      .returning();
    const evaluation = await insertEnded('SUCCEEDED', { kind: 'SAE_EVALUATION', modelId, datasetId });
    await db().insert(usedSaes).values({ runId: evaluation.id, saeId: sae!.id });
    await db().update(runs).set({ finishedAt: new Date() }).where(eq(runs.id, evaluation.id));
    await collect({ RESULTS: HOUR });
    expect([await isThere(sweep.id), await isThere(alignment.id)]).toEqual([false, true]);
    await db()
      .update(runs)
      .set({ tags: ['keep'], finishedAt: new Date(0) })
      .where(eq(runs.id, evaluation.id));
    await collect({ RESULTS: HOUR });
    expect(await isThere(alignment.id)).toBe(true);
    await db().update(runs).set({ tags: [] }).where(eq(runs.id, evaluation.id));
    expect((await collect({ RESULTS: HOUR })).RESULTS?.items).toBe(2);
    // The model came from elsewhere, and is nobody's to take.
    expect(await db().select().from(models)).toHaveLength(1);
  });

  it('go with their parts, and parts never by themselves', async () => {
    const parent = await insertEnded('SUCCEEDED', { kind: 'ALIGNMENT_SWEEP' });
    const part = await insertEnded('FAILED');
    await db().update(runs).set({ parentId: parent.id }).where(eq(runs.id, part.id));
    expect(await collect({ FAILED_RUNS: HOUR })).toEqual({});
    expect((await collect({ RESULTS: HOUR })).RESULTS?.items).toBe(1);
    expect(await isThere(part.id)).toBe(false);
  });

  it('lose what they logged, but not their end nor their results', async () => {
    const run = await insertRunningRun(db());
    const line = { level: 'INFO', message: 'm', at: Date.now() } as const;
    await appendLogs(db(), run.claim, [line, line]);
    await db()
      .insert(runEvents)
      .values({ runId: run.id, seq: 90, at: new Date(), type: 'POINT', payload: { step: 1 } });
    const working = await insertRunningRun(db());
    await appendLogs(db(), working.claim, [line]);
    await finishRun(db(), run.claim, {});
    await db()
      .update(runs)
      .set({ finishedAt: new Date(0) })
      .where(eq(runs.id, run.id));
    expect((await due('EVENTS', { EVENTS: HOUR }))?.items).toBe(4);
    expect((await collect({ EVENTS: HOUR })).EVENTS?.items).toBe(4);
    const left = await db()
      .select()
      .from(runEvents)
      .where(eq(runEvents.runId, run.id))
      .orderBy(runEvents.seq);
    expect(left.map(({ type, payload }) => [type, payload.status])).toEqual([
      ['STATUS', 'SUCCEEDED'],
      ['POINT', undefined],
    ]);
    expect(await db().select().from(runEvents).where(eq(runEvents.runId, working.id))).toHaveLength(3);
  });
});

describe('what lies about', () => {
  it('is collected: unused files, damaged ones, old entries of the log, and workers that nobody names', async () => {
    const hash = await keepFile('MODEL');
    expect(await collect({})).toEqual({});
    await db()
      .update(artifacts)
      .set({ createdAt: new Date(0) })
      .where(eq(artifacts.hash, hash));
    expect(await due('LEFTOVERS', {})).toEqual({ items: 1, bytes: 1024 });
    const directory = join(api.importDir, '.store', 'damaged');
    await mkdir(directory, { recursive: true });
    await writeFile(join(directory, 'x'), 'bytes');
    const entry = { client: 'c', requestId: 'r', operation: 'o' };
    await db()
      .insert(auditEntries)
      .values([{ ...entry, at: new Date(0) }, entry]);
    const run = await insertRunningRun(db());
    const { id: unnamed } = await insertRunningRun(db());
    await db().delete(runs).where(eq(runs.id, unnamed));
    await db()
      .update(workers)
      .set({ endedAt: new Date(0) });
    const ages = { DAMAGED: -1000, AUDIT: HOUR, EVENTS: HOUR };
    const taken = await collect(ages);
    expect(taken).toMatchObject({
      ...{
        LEFTOVERS: { items: 1, bytes: 1024 },
        DAMAGED: { items: 1, bytes: 5 },
        AUDIT: { items: 1 },
        WORKERS: { items: 1 },
      },
    });
    expect(await store.has(hash)).toBe(false);
    expect(await db().select().from(workers)).toMatchObject([{ id: run.workerId }]);
    await collect(ages);
    const [noted] = await db().select().from(collections).where(eq(collections.policy, 'LEFTOVERS'));
    expect(noted).toMatchObject({ items: 0, bytes: 0, totalItems: 1, totalBytes: 1024 });
  });

  it('is collected by one server at a time, and once in the interval', async () => {
    const { database } = api;
    const options = { database, store, ages: NEVER, intervalMs: HOUR, log: silentLog };
    const client = await database.pool.connect();
    await client.query("select pg_advisory_lock(hashtextextended('retention ' || current_schema(), 0))");
    expect(await collectIfDue(options)).toBeNull();
    expect(await db().select().from(collections)).toEqual([]);
    await client.query("select pg_advisory_unlock(hashtextextended('retention ' || current_schema(), 0))");
    client.release();
    const rounds = await Promise.all([collectIfDue(options), collectIfDue(options)]);
    expect(rounds.filter((round) => round !== null)).toHaveLength(1);
    expect(await collectIfDue(options)).toBeNull();
    expect(await collectIfDue({ ...options, intervalMs: 0 })).not.toBeNull();
  });
});

it('says what is kept, how large it is, and what would be collected', async () => {
  await insertEnded('SUCCEEDED');
  const unused = await keepFile('MODEL');
  const { storage } = await api.ask(`{ storage {
    files { kind all { items bytes } unused { items bytes } }
    tables { name rows bytes }
    retention { policy seconds due { items bytes } collected { at } }
  } }`);
  expect(unused).toBeTruthy();
  expect(storage.files).toEqual([
    { kind: 'MODEL', all: { items: 1, bytes: 1024 }, unused: { items: 1, bytes: 1024 } },
    { kind: 'SAE', all: { items: 1, bytes: 1024 }, unused: { items: 0, bytes: 0 } },
  ]);
  expect(storage.tables.find(({ name }: { name: string }) => name === 'runs').bytes).toBeGreaterThan(8192);
  expect(storage.retention).toContainEqual({ policy: 'RESULTS', seconds: null, due: null, collected: null });
  expect(storage.retention[0]).toEqual({
    policy: 'LEFTOVERS',
    seconds: 3600,
    due: { items: 0, bytes: 0 },
    collected: null,
  });
  expect(ageOf('WORKERS', { ...NEVER, EVENTS: 7 })).toBe(7);
});
