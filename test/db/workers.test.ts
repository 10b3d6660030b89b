import { randomUUID } from 'node:crypto';
import { eq, sql } from 'drizzle-orm';
import { Client } from 'pg';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import type { Database, Db } from '../../src/db/client.ts';
import { claimRun, listRunsOf, readRun } from '../../src/db/queries/runs.ts';
import {
  endWorkers,
  findDeadWorkers,
  listWorkers,
  type NewWorker,
  registerWorker,
  WORKER_LOCKS,
} from '../../src/db/queries/workers.ts';
import { workers } from '../../src/db/tables/index.ts';
import { announceWorker, type WorkerPresence } from '../../src/db/workerPresence.ts';
import { createTestDatabase } from '../helpers/database.ts';
import { insertQueuedRun } from '../helpers/fixtures.ts';
import { silentLog } from '../helpers/log.ts';

/** A lock counts as lost at once, so that nothing has to wait. */
const PATIENCE = { unlockedMs: 0, silentMs: 60_000 };
let database: Database;
let db: Db;
let presence: WorkerPresence;
let declaredDead: Promise<void>;

const newWorker = (): NewWorker => ({
  ...{ id: randomUUID(), hostname: 'test', pid: process.pid, backend: 'wasm' },
  ...{ tensorflowVersion: null, devices: [], fallbackReason: null },
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
  expect(await findDeadWorkers(db, PATIENCE)).toEqual([]);
  expect((await listWorkers(db)).map((worker) => worker.id)).toContain(presence.worker.id);
  await presence.close();
});

test('a worker whose session has gone is dead, once it had time to come back', async () => {
  await presence.close();
  const { id, lockKey } = await registerWorker(db, newWorker());
  const session = new Client({ connectionString: database.connectionString });
  await session.connect();
  await session.query('select pg_advisory_lock($1, $2)', [WORKER_LOCKS, lockKey]);
  expect(await findDeadWorkers(db, PATIENCE)).toEqual([]);
  await session.end();
  await expect.poll(() => findDeadWorkers(db, PATIENCE)).toEqual([id]);
  expect(await findDeadWorkers(db, { unlockedMs: 60_000, silentMs: 60_000 })).toEqual([]);
  await endWorkers(db, [id]);
});

test('a worker that is silent for too long is dead though its lock is held', async () => {
  await db
    .update(workers)
    .set({ lastSeenAt: sql`now() - interval '61 s'` })
    .where(eq(workers.id, presence.worker.id));
  expect(await findDeadWorkers(db, PATIENCE)).toEqual([presence.worker.id]);
  await presence.close();
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
  await expect.poll(() => findDeadWorkers(db, PATIENCE)).toEqual([]);
  await presence.close();
});
