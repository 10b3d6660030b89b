import { chmod, mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createDatabase } from '../../src/db/client.ts';
import { type EmbeddedPostgres, startEmbeddedPostgres } from '../../src/db/embedded.ts';
import { migrateDatabase } from '../../src/db/migrate.ts';
import { readEvents } from '../../src/db/queries/events.ts';
import { withRetry } from '../../src/jobs/retry.ts';
import { startModelRun } from '../../src/runs/model.ts';
import { silentLog } from '../helpers/log.ts';
import { type Farm, openFarm, readValues } from './farm.ts';

const SETTINGS = {
  ...{ nLayers: 1, nHeads: 2, dModel: 16, steps: 150, batchSize: 16, warmupSteps: 10, logEvery: 1 },
};
/** Quick to come back, for it does not sync its files first. */
const FAST = { fsync: 'off', full_page_writes: 'off' };
/** A Postgres of its own, which may be killed. */
let dataDir: string;
let postgres: EmbeddedPostgres;
let farm: Farm;

beforeAll(async () => {
  dataDir = await mkdtemp(join(tmpdir(), 'alignsae-postgres-'));
  await chmod(dataDir, 0o755);
  postgres = await startEmbeddedPostgres({ dataDir, log: silentLog, settings: FAST });
  await migrateDatabase(postgres.connectionString);
  farm = await openFarm({
    open: async () => createDatabase(postgres.connectionString, { log: silentLog }),
  });
});
afterAll(async () => {
  await farm.close();
  await postgres.stop();
  await rm(dataDir, { recursive: true, force: true });
});

async function killPostgres(): Promise<void> {
  const pidFile = await readFile(join(dataDir, 'cluster', 'postmaster.pid'), 'utf8');
  process.kill(Number.parseInt(pidFile, 10), 'SIGKILL');
}

const startRun = () => startModelRun(farm.database.db, { datasetId: farm.datasetId, settings: SETTINGS });

test('a run whose Postgres is killed goes on where it was, loses nothing, and the queue lives on', async () => {
  await farm.startWorker();
  const { id } = await startRun();
  await farm.waitFor(async () => (await readValues(farm, id)).size > 0);
  await killPostgres();
  const run = await farm.ended(id);
  const undisturbed = await farm.ended((await withRetry(startRun, silentLog)).id);
  expect(run).toMatchObject({
    status: 'SUCCEEDED',
    attempt: 1,
    artifactHash: undisturbed.artifactHash,
    result: undisturbed.result,
  });
  expect(await readValues(farm, id)).toEqual(await readValues(farm, undisturbed.id));
  const events = await readEvents(farm.database.db, id, 0, 5000);
  expect(events.map(({ seq }) => seq)).toEqual(events.map((_, i) => i + 1));
}, 120_000);
