/**
 * What the database does a second: metric points written, in the batches that training makes; thinned reads; and
 * the time from a write to 50 subscribers. `npx tsx bench/db.ts [directory]`, on the embedded Postgres with its
 * production settings (every commit reaches the disk).
 */
import { chmod, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import { createDatabase, type Db } from '../src/db/client.ts';
import { startEmbeddedPostgres } from '../src/db/embedded.ts';
import { migrateDatabase } from '../src/db/migrate.ts';
import { listenForNotifications } from '../src/db/notifications.ts';
import { appendMetrics, type Claim } from '../src/db/queries/events.ts';
import { readMetrics } from '../src/db/queries/metrics.ts';
import { finishRun } from '../src/db/queries/runs.ts';
import { createRunFeed, type RunFeed } from '../src/db/runFeed.ts';
import type { MetricRow } from '../src/engine/contract/protocol.ts';
import { insertRunningRun } from '../test/helpers/fixtures.ts';

const NAMES = ['loss', 'loss/recon', 'loss/sparse', 'loss/bind', 'loss/ortho', 'fvu', 'l0', 'accuracy'];
const log = pino({ level: 'warn' });

function metricRows(from: number, n: number): MetricRow[] {
  return Array.from({ length: n }, (_, i) => ({
    step: from + i,
    at: Date.now(),
    values: Object.fromEntries(NAMES.map((name, k) => [name, Math.sin((from + i) / 100) + k])),
  }));
}

/** Points a second, `rowsPerBatch` steps of eight metrics a transaction, one writer after the other. */
async function writePoints(db: Db, claim: Claim, rowsPerBatch: number, batches: number): Promise<number> {
  const start = performance.now();
  for (let b = 0; b < batches; b += 1) {
    await appendMetrics(db, claim, metricRows(b * rowsPerBatch, rowsPerBatch));
  }
  return (rowsPerBatch * batches * NAMES.length * 1000) / (performance.now() - start);
}

/** Milliseconds from just before the write to each of `subscribers`, sorted. */
async function measureLatency(db: Db, feed: RunFeed, subscribers: number, writes: number): Promise<number[]> {
  const { id, claim } = await insertRunningRun(db);
  const latencies: number[] = [];
  const readers = Array.from({ length: subscribers }, async () => {
    for await (const events of await feed.subscribe(id, 2)) {
      for (const event of events)
        if (event.type === 'METRICS') latencies.push(Date.now() - event.at.getTime());
    }
  });
  for (let n = 0; n < writes; n += 1) {
    await appendMetrics(db, claim, metricRows(n, 1));
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  await finishRun(db, claim, {});
  await Promise.all(readers);
  return latencies.sort((a, b) => a - b);
}

async function timeOf(work: () => Promise<unknown>): Promise<string> {
  const start = performance.now();
  await work();
  return `${(performance.now() - start).toFixed(0)} ms`;
}

async function main(): Promise<void> {
  const dataDir = await mkdtemp(join(process.argv[2] ?? tmpdir(), 'alignsae-bench-'));
  // As root, Postgres runs as somebody else, who has to get in.
  await chmod(dataDir, 0o755);
  const postgres = await startEmbeddedPostgres({ dataDir, log });
  await migrateDatabase(postgres.connectionString);
  const database = createDatabase(postgres.connectionString, { log });
  const notifications = listenForNotifications(postgres.connectionString, log);
  const { db } = database;
  try {
    for (const rowsPerBatch of [1, 10, 100, 1000]) {
      const { claim } = await insertRunningRun(db);
      const points = await writePoints(db, claim, rowsPerBatch, rowsPerBatch === 1000 ? 15 : 100);
      console.log(`write, ${rowsPerBatch} steps × 8 a transaction: ${points.toFixed(0)} points/s`);
    }
    const { claim } = await insertRunningRun(db);
    await writePoints(db, claim, 1000, 100);
    // Autovacuum does it within a minute.
    await database.pool.query('vacuum analyze metric_points');
    console.log(
      `read 1 of 8 series of 100,000 steps at 500 points: ${await timeOf(() => readMetrics(db, claim.runId, ['loss'], 500))}`,
    );
    console.log(`read all 8: ${await timeOf(() => readMetrics(db, claim.runId, null, 500))}`);
    await notifications.ready;
    const feed = createRunFeed({ db, notifications, log });
    const latencies = await measureLatency(db, feed, 50, 200);
    const at = (share: number) => latencies[Math.floor(share * (latencies.length - 1))];
    console.log(
      `metric → subscriber, 50 subscribers: p50 ${at(0.5)} ms, p95 ${at(0.95)} ms, max ${at(1)} ms (${latencies.length})`,
    );
    feed.close();
  } finally {
    await notifications.close();
    await database.close();
    await postgres.stop();
    await rm(dataDir, { recursive: true, force: true });
  }
}

await main();
