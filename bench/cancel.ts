/**
 * Time from a cancellation to no engine process left, on a run that trains: `npx tsx bench/cancel.ts [times]`.
 * Starts an embedded Postgres and a worker of its own in a temporary directory, and removes them again.
 */
import { chmod, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { readConfig } from '../src/config.ts';
import { openArtifactStore } from '../src/db/artifactStore.ts';
import { createDatabase } from '../src/db/client.ts';
import { startEmbeddedPostgres } from '../src/db/embedded.ts';
import { migrateDatabase } from '../src/db/migrate.ts';
import { listenForNotifications } from '../src/db/notifications.ts';
import { readMetrics } from '../src/db/queries/metrics.ts';
import { prepareNative } from '../src/engine/native/build.ts';
import { probeEngine } from '../src/jobs/host.ts';
import { prepareQueue } from '../src/jobs/queue.ts';
import { startWorker } from '../src/jobs/worker.ts';
import { createLogger } from '../src/log.ts';
import { startModelRun } from '../src/runs/model.ts';
import { generateDataset } from '../src/services/datasetCreation.ts';
import { cancelRun } from '../src/services/run.ts';

const TARGET_MS = 1000;
const times = Number(process.argv[2] ?? 10);
const log = createLogger('warn');
const { cacheDir, tensorflowDir } = readConfig();
const native = await prepareNative({ cacheDir, tensorflowDir, environment: process.env, log: console.log });
const dir = await mkdtemp(join(tmpdir(), 'alignsae-bench-'));
await chmod(dir, 0o755);
const postgres = await startEmbeddedPostgres({ dataDir: dir, log });
await migrateDatabase(postgres.connectionString);
const database = createDatabase(postgres.connectionString, { log });
const { db } = database;
await prepareQueue(database.pool, log);
const notifications = listenForNotifications(postgres.connectionString, log);
const engine = { backend: 'auto', native, log } as const;
const worker = await startWorker({
  ...{ database, notifications, engine, log, concurrency: 1, checkpointEveryMs: 1000, drainMs: 5000 },
  store: await openArtifactStore(join(dir, 'artifacts')),
  info: await probeEngine(engine),
  workRoot: join(dir, 'work'),
});

try {
  const dataset = await generateDataset(db, { people: 100, seed: 0 });
  const taken: number[] = [];
  for (let i = 0; i < times; i++) taken.push(await cancelOnce(dataset.id));
  taken.sort((a, b) => a - b);
  const at = (share: number) => taken[Math.min(times - 1, Math.floor(share * times))]!.toFixed(0);
  console.log(`cancel → no process left, ${times} runs: median ${at(0.5)} ms, slowest ${at(1)} ms`);
  console.log(`target ≤ ${TARGET_MS} ms: ${taken.at(-1)! <= TARGET_MS ? 'reached' : 'missed'}`);
} finally {
  await worker.stop();
  await notifications.close();
  await database.close();
  await postgres.stop();
  await rm(dir, { recursive: true, force: true });
}

/** Milliseconds from the call of `cancelRun` until the engine's process id is free. */
async function cancelOnce(datasetId: string): Promise<number> {
  const run = await startModelRun(db, { datasetId, settings: { steps: 1_000_000 } });
  while ((await readMetrics(db, run.id, ['loss'], 10)).length === 0) await delay(20);
  const [pid] = worker.enginePids;
  const startedAt = performance.now();
  await cancelRun(db, run.id);
  while (isAlive(pid!)) await delay(1);
  return performance.now() - startedAt;
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}
