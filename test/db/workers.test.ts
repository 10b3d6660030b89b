import { randomUUID } from 'node:crypto';
import { eq, sql } from 'drizzle-orm';
import { drizzle } from 'drizzle-orm/node-postgres';
import { Client } from 'pg';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import type { Database, Db } from '../../src/db/client.ts';
import { appendMetrics, type Claim } from '../../src/db/queries/events.ts';
import { claimRun, failDeadlyRuns, forgetDeaths, listRunsOf, readRun } from '../../src/db/queries/runs.ts';
import {
  buryWorkers,
  endWorkers,
  heartbeat,
  listWorkers,
  lockWorker,
  type NewWorker,
  registerWorker,
} from '../../src/db/queries/workers.ts';
import * as tables from '../../src/db/tables/index.ts';
import { announceWorker, type WorkerPresence } from '../../src/db/workerPresence.ts';
import { WorkerWatch } from '../../src/db/workerWatch.ts';
import { createTestDatabase } from '../helpers/database.ts';
import { insertQueuedRun } from '../helpers/fixtures.ts';
import { silentLog } from '../helpers/log.ts';

/** A lock counts as lost at once, so that nothing has to wait. */
const PATIENCE = { unlockedMs: 0, silentMs: 60_000, recoverMs: 0 };
/** What somebody who looks for the first time finds. */
const findDead = () => new WorkerWatch(PATIENCE).findDead(db);
let database: Database;
let db: Db;
let presence: WorkerPresence;
let declaredDead: Promise<void>;

const { workers } = tables;

const newWorker = (): NewWorker => ({
  ...{ id: randomUUID(), hostname: 'test', pid: process.pid, backend: 'wasm' },
  ...{ tensorflowVersion: null, devices: [], fallbackReason: null, products: [] },
});

async function announce(heartbeatMs: number): Promise<void> {
  await new Promise<void>((announced, failed) => {
    declaredDead = new Promise((onDeclaredDead) => {
      announceWorker(database, newWorker(), { log: silentLog, heartbeatMs, onDeclaredDead }).then((p) => {
        presence = p;
        announced();
      }, failed);
    });
  });
}

beforeAll(async () => {
  database = await createTestDatabase();
  db = database.db;
});
afterAll(() => database.close());
beforeEach(() => announce(60_000));

async function startRun(): Promise<string> {
  const { id } = await insertQueuedRun(db);
  await claimRun(db, { runId: id, workerId: presence.worker.id, backend: 'wasm' });
  return id;
}

test('a living worker is not dead', async () => {
  expect(await findDead()).toEqual([]);
  expect((await listWorkers(db)).map((worker) => worker.id)).toContain(presence.worker.id);
  await presence.close();
});

test('a worker whose session has gone is dead, once it had time to come back', async () => {
  await presence.close();
  const { id, lockKey } = await registerWorker(db, newWorker());
  const session = new Client({ connectionString: database.connectionString });
  await session.connect();
  await lockWorker(drizzle({ client: session, schema: tables }), lockKey);
  expect(await findDead()).toEqual([]);
  await session.end();
  await expect.poll(findDead).toEqual([id]);
  let now = 0;
  const watch = new WorkerWatch({ ...PATIENCE, unlockedMs: 1000 }, () => now);
  expect(await watch.findDead(db)).toEqual([]);
  now = 999;
  expect(await watch.findDead(db)).toEqual([]);
  now = 1000;
  expect(await watch.findDead(db)).toEqual([id]);
  await endWorkers(db, [id]);
});

test('a worker that is silent for too long is dead though its lock is held', async () => {
  let now = 0;
  const watch = new WorkerWatch(PATIENCE, () => now);
  const { id } = presence.worker;
  expect(await watch.findDead(db)).toEqual([]);
  now = 59_000;
  await heartbeat(db, id);
  expect(await watch.findDead(db)).toEqual([]);
  now = 118_999;
  expect(await watch.findDead(db)).toEqual([]);
  now = 119_000;
  expect(await watch.findDead(db)).toEqual([id]);
  await presence.close();
});

test('a clock that was set back, or runs ahead, hides nobody and buries nobody', async () => {
  const { id } = presence.worker;
  for (const change of ['+ 5 h', '- 5 h']) {
    await db
      .update(workers)
      .set({ lastSeenAt: sql`now() + ${change.replace(' ', '')}::interval` })
      .where(eq(workers.id, id));
    expect(await findDead()).toEqual([]);
  }
  await presence.close();
  const { id: gone } = await registerWorker(db, newWorker());
  await db.update(workers).set({ lastSeenAt: sql`now() + interval '5 h'` }).where(eq(workers.id, gone));
  expect(await findDead()).toEqual([gone]);
  await endWorkers(db, [gone]);
});

test('after a loss of the own connection, nobody is dead before all had time to come back', async () => {
  let now = 0;
  const watch = new WorkerWatch({ ...PATIENCE, recoverMs: 8000 }, () => now);
  await watch.findDead(db);
  watch.beginAnew();
  await presence.close();
  const { id } = await registerWorker(db, newWorker());
  now = 7999;
  expect(await watch.findDead(db)).toEqual([]);
  now = 8000;
  expect(await watch.findDead(db)).toEqual([id]);
  await endWorkers(db, [id]);
});

test('a run with which three workers died in a row fails, unless it got on in between', async () => {
  await presence.close();
  const { id } = await insertQueuedRun(db);
  const dieWith = async (work?: (claim: Claim) => Promise<unknown>) => {
    const worker = await registerWorker(db, newWorker());
    const run = await claimRun(db, { runId: id, workerId: worker.id, backend: 'wasm' });
    if (run) await work?.({ runId: id, attempt: run.attempt });
    await buryWorkers(db, [worker.id]);
    return run;
  };
  await dieWith();
  await dieWith();
  await forgetDeaths(db, id);
  await dieWith();
  await dieWith();
  await dieWith((claim) => appendMetrics(db, claim, [{ step: 1, at: 0, values: { loss: 2 } }]));
  // As far as another was: not further.
  await dieWith((claim) => appendMetrics(db, claim, [{ step: 1, at: 0, values: { loss: 2 } }]));
  expect(await failDeadlyRuns(db)).toEqual([]);
  await dieWith();
  expect(await dieWith()).toBeNull();
  expect((await failDeadlyRuns(db)).map((run) => run.id)).toEqual([id]);
  expect(await readRun(db, id)).toMatchObject({ status: 'FAILED', errorCode: 'ENGINE_FAILED' });
  expect((await readRun(db, id))!.errorMessage).toMatch(/3 workers died.*memory/);
});

test('the runs of a dead worker are queued again, once', async () => {
  const id = await startRun();
  expect((await listRunsOf(db, [presence.worker.id])).map((run) => run.id)).toEqual([id]);
  const both = await Promise.all([1, 2].map(() => endWorkers(db, [presence.worker.id])));
  expect(both.flat().map((run) => run.id)).toEqual([id]);
  expect(await readRun(db, id)).toMatchObject({ status: 'QUEUED', workerId: null });
  expect((await listWorkers(db)).map((worker) => worker.id)).not.toContain(presence.worker.id);
  await presence.close();
});

test('a worker that leaves gives its runs back', async () => {
  const id = await startRun();
  expect((await presence.close()).map((run) => run.id)).toEqual([id]);
});

test('a worker declared dead by others learns it with its next heartbeat', async () => {
  await presence.close();
  await announce(10);
  await endWorkers(db, [presence.worker.id]);
  await declaredDead;
  await presence.close();
});

test('a worker takes its lock again after its connection was cut', async () => {
  await db.execute(sql`select pg_terminate_backend(pid, 10000) from pg_stat_activity
    where application_name = ${`alignsae worker ${presence.worker.lockKey}`} and datname = current_database()`);
  // Waits for the very lock that the reconnected worker must hold.
  await expect.poll(() => findDead()).toEqual([]);
  await presence.close();
});
