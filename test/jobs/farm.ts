/** A database with its queue, a dataset, a store, and workers on them; everything is gone after `close`. */
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { asc, eq } from 'drizzle-orm';
import { inject } from 'vitest';
import { type ArtifactStore, openArtifactStore } from '../../src/db/artifactStore.ts';
import type { Database } from '../../src/db/client.ts';
import { listenForNotifications } from '../../src/db/notifications.ts';
import { type Run, readRun } from '../../src/db/queries/runs.ts';
import { FINAL_STATUSES, metricPoints } from '../../src/db/tables/index.ts';
import { whyTransient } from '../../src/db/transient.ts';
import type { BackendInfo } from '../../src/engine/contract/protocol.ts';
import { type EngineOptions, probeEngine } from '../../src/jobs/host.ts';
import { prepareQueue } from '../../src/jobs/queue.ts';
import { type RunWorker, startWorker, type WorkerOptions } from '../../src/jobs/worker.ts';
import { generateDataset } from '../../src/services/datasetCreation.ts';
import { createTestDatabase } from '../helpers/database.ts';
import { silentLog } from '../helpers/log.ts';

export interface Farm {
  database: Database;
  store: ArtifactStore;
  /** Biographies of a few people. */
  datasetId: string;
  dir: string;
  info: BackendInfo;
  startWorker(options?: Partial<WorkerOptions>): Promise<RunWorker>;
  /** Stops the workers that were started here. */
  stopWorkers(): Promise<void>;
  /** Resolves when `look`, asked again and again, finds what it looks for. */
  waitFor<T>(look: () => Promise<T | null | undefined | false>): Promise<T>;
  ended(runId: string): Promise<Run>;
  close(): Promise<void>;
}

export async function openFarm({ people = 6, open = createTestDatabase } = {}): Promise<Farm> {
  const database = await open();
  const dir = await mkdtemp(join(tmpdir(), 'alignsae-farm-'));
  const store = await openArtifactStore(join(dir, 'artifacts'));
  const notifications = listenForNotifications(database.connectionString, silentLog);
  await notifications.ready;
  await prepareQueue(database.pool, silentLog);
  const dataset = await generateDataset(database.db, { people, seed: 1 });
  const engine: EngineOptions = { backend: 'auto', native: inject('native'), log: silentLog };
  const info = await probeEngine(engine);
  const workers: RunWorker[] = [];
  const stopWorkers = async () => {
    await Promise.all(workers.splice(0).map((worker) => worker.stop()));
  };

  return {
    database,
    store,
    datasetId: dataset.id,
    dir,
    info,
    async startWorker(options = {}) {
      const worker = await startWorker({
        database,
        store,
        notifications,
        engine,
        info,
        workRoot: join(dir, 'work'),
        concurrency: 1,
        checkpointEveryMs: 100,
        drainMs: 5000,
        log: silentLog,
        ...options,
      });
      workers.push(worker);
      return worker;
    },
    stopWorkers,
    waitFor,
    ended: (runId) =>
      waitFor(async () => {
        const run = await readRun(database.db, runId);
        return run && FINAL_STATUSES.includes(run.status) && run;
      }),
    async close() {
      await stopWorkers();
      await notifications.close();
      await database.close();
      await rm(dir, { recursive: true, force: true });
    },
  };
}

/** Process ids and checkpoints announce themselves by no event. */
const LOOK_EVERY_MS = 20;

async function waitFor<T>(look: () => Promise<T | null | undefined | false>): Promise<T> {
  for (;;) {
    // While Postgres is away nothing is found.
    const found = await look().catch((error) => {
      if (!whyTransient(error)) throw error;
    });
    if (found) return found;
    await delay(LOOK_EVERY_MS);
  }
}

/** Resolves when no such process exists any more. */
export async function processGone(pid: number): Promise<void> {
  for (;;) {
    try {
      process.kill(pid, 0);
    } catch {
      return;
    }
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

/** Every metric value of a run by name and step. */
export async function readValues({ database: { db } }: Farm, runId: string): Promise<Map<string, number>> {
  const rows = await db
    .select()
    .from(metricPoints)
    .where(eq(metricPoints.runId, runId))
    .orderBy(asc(metricPoints.name), asc(metricPoints.step));
  return new Map(rows.map(({ name, step, value }) => [`${name} ${step}`, value]));
}

/** Names of what runs have left in the work directory. */
export async function workFiles({ dir }: Farm): Promise<string[]> {
  const files = await readdir(join(dir, 'work'), { recursive: true, withFileTypes: true }).catch(() => []);
  return files.filter((entry) => entry.isFile()).map(({ name }) => name);
}
