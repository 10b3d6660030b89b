/** A database of the bench's own, with runs that it writes to as their worker. */
import { randomUUID } from 'node:crypto';
import { chmod, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createDatabase } from '../../src/db/client.ts';
import { startEmbeddedPostgres } from '../../src/db/embedded.ts';
import { migrateDatabase } from '../../src/db/migrate.ts';
import { claimRun, insertRun } from '../../src/db/queries/runs.ts';
import { registerWorker } from '../../src/db/queries/workers.ts';
import { modelSettings } from '../../src/engine/contract/modelSettings.ts';
import { prepareQueue } from '../../src/jobs/queue.ts';
import { createLogger } from '../../src/log.ts';
import { generateDataset } from '../../src/services/datasetCreation.ts';

export type BenchRuns = Awaited<ReturnType<typeof openRuns>>;

export async function openRuns() {
  const log = createLogger('warn');
  const directory = await mkdtemp(join(tmpdir(), 'alignsae-bench-'));
  await chmod(directory, 0o755);
  const postgres = await startEmbeddedPostgres({ dataDir: join(directory, 'postgres'), log });
  const { connectionString } = postgres;
  await migrateDatabase(connectionString);
  const database = createDatabase(connectionString, { log });
  const { db } = database;
  await prepareQueue(database.pool, log);
  const dataset = await generateDataset(db, { people: 1, seed: 0 });
  const worker = await registerWorker(db, {
    ...{ id: randomUUID(), hostname: 'bench', pid: process.pid, backend: 'wasm' },
    ...{ tensorflowVersion: null, devices: [], fallbackReason: null, products: [] },
  });
  return {
    ...{ db, directory, connectionString },
    async start() {
      const { id } = await insertRun(db, {
        ...{ kind: 'MODEL', settings: modelSettings.parse({}), seed: 0, datasetId: dataset.id },
        ...{ datasetHash: 'x', codeVersion: 'bench' },
      });
      const run = await claimRun(db, { runId: id, workerId: worker.id, backend: 'wasm' });
      return { id, claim: { runId: id, attempt: run!.attempt } };
    },
    async close() {
      await database.close();
      await postgres.stop();
      await rm(directory, { recursive: true, force: true });
    },
  };
}
