import { randomUUID } from 'node:crypto';
import { readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createDatabase, type Database } from '../../src/db/client.ts';
import { type EmbeddedPostgres, startEmbeddedPostgres } from '../../src/db/embedded.ts';
import { migrateDatabase } from '../../src/db/migrate.ts';
import { listenForNotifications } from '../../src/db/notifications.ts';
import { appendMetrics, type Claim, type RunEventRow } from '../../src/db/queries/events.ts';
import { cancelRun, finishRun } from '../../src/db/queries/runs.ts';
import { createRunControl } from '../../src/db/runControl.ts';
import { createRunFeed } from '../../src/db/runFeed.ts';
import { announceWorker } from '../../src/db/workerPresence.ts';
import { WorkerWatch } from '../../src/db/workerWatch.ts';
import { insertRunningRun } from '../helpers/fixtures.ts';
import { silentLog } from '../helpers/log.ts';
import { makeTempDirectory } from '../helpers/tempDirectory.ts';

/** A Postgres of its own, durable as in production, that may be killed. */
let dataDir: string;
let postgres: EmbeddedPostgres;
let database: Database;

beforeAll(async () => {
  dataDir = await makeTempDirectory('restart');
  postgres = await startEmbeddedPostgres({ dataDir, log: silentLog });
  await migrateDatabase(postgres.connectionString);
  database = createDatabase(postgres.connectionString, { log: silentLog });
});
afterAll(async () => {
  await database.close();
  await postgres.stop();
  await rm(dataDir, { recursive: true, force: true });
});

async function killPostgres(): Promise<void> {
  const pidFile = await readFile(join(dataDir, 'cluster', 'postmaster.pid'), 'utf8');
  process.kill(Number.parseInt(pidFile, 10), 'SIGKILL');
}

/** What a worker does with a write that failed: again, until it is stored. */
async function insist(write: () => Promise<boolean>): Promise<void> {
  await expect.poll(() => write().catch(() => null), { timeout: 60_000 }).toBe(true);
}

const step = (n: number) => ({ step: n, at: n, values: { loss: n } });
const append = (claim: Claim, n: number) => insist(() => appendMetrics(database.db, claim, [step(n)]));

test('Postgres killed under a live server: subscribers miss nothing, and workers keep their runs', async () => {
  const notifications = listenForNotifications(postgres.connectionString, silentLog);
  await notifications.ready;
  const feed = createRunFeed({ db: database.db, notifications, log: silentLog });
  const control = createRunControl(database.db, notifications, silentLog);
  const presence = await announceWorker(
    database,
    {
      ...{ id: randomUUID(), hostname: 'test', pid: process.pid, backend: 'wasm' },
      ...{ tensorflowVersion: null, devices: [], fallbackReason: null, products: [] },
    },
    { log: silentLog, heartbeatMs: 100, onDeclaredDead: () => expect.unreachable() },
  );
  const { id, claim } = await insertRunningRun(database.db);
  const cancelled = new Promise<void>((resolve) => control.watch(id, resolve));
  const seen: number[] = [];
  const steps: number[] = [];
  const subscriber = (async () => {
    for await (const batch of await feed.subscribe(id, 0)) {
      for (const event of batch as RunEventRow[]) {
        seen.push(event.seq);
        if (event.type === 'METRICS') steps.push(event.step);
      }
    }
  })();

  for (let n = 1; n <= 20; n += 1) {
    if (n === 5 || n === 12) await killPostgres();
    await append(claim, n);
  }
  await cancelRun(database.db, id);
  await subscriber;
  await cancelled;
  expect(steps).toEqual(Array.from({ length: 20 }, (_, i) => i + 1));
  expect(seen).toEqual(Array.from({ length: 23 }, (_, i) => i + 1));
  await expect
    .poll(() => new WorkerWatch({ unlockedMs: 0, silentMs: 60_000, recoverMs: 0 }).findDead(database.db))
    .not.toContain(presence.worker.id);

  feed.close();
  control.close();
  await presence.close();
  await notifications.close();
});

test('a cancellation that was missed while Postgres was away is found afterwards', async () => {
  const { id, claim } = await insertRunningRun(database.db);
  await cancelRun(database.db, id);
  const notifications = listenForNotifications(postgres.connectionString, silentLog);
  const control = createRunControl(database.db, notifications, silentLog);
  await new Promise<void>((resolve) => control.watch(id, resolve));
  expect(await finishRun(database.db, claim, {})).toBeNull();
  control.close();
  await notifications.close();
});
