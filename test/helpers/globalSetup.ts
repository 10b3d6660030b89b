/** Once for the whole suite: one embedded Postgres with a migrated template database that each file clones. */
import { access, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Client } from 'pg';
import type { TestProject } from 'vitest/node';
import { startEmbeddedPostgres } from '../../src/db/embedded.ts';
import { migrateDatabase } from '../../src/db/migrate.ts';
import { silentLog } from './log.ts';
import { makeTempDirectory } from './tempDirectory.ts';

declare module 'vitest' {
  export interface ProvidedContext {
    /** Of the suite's Postgres; its database is the template, so connect to clones only. */
    templateUrl: string;
  }
}

/** Nothing here outlives the suite, so nothing has to reach the disk. */
const FAST = { fsync: 'off', synchronous_commit: 'off', full_page_writes: 'off' };

export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  await removeLeftovers();
  const dataDir = await makeTempDirectory(`test-${process.pid}`);
  const postgres = await startEmbeddedPostgres({ dataDir, log: silentLog, settings: FAST });
  const remove = async () => {
    await postgres.stop();
    await rm(dataDir, { recursive: true, force: true });
  };
  try {
    await migrateDatabase(postgres.connectionString);
  } catch (error) {
    await remove();
    throw error;
  }
  project.provide('templateUrl', postgres.connectionString);
  return async () => {
    const open = await openDatabases(postgres.connectionString);
    await remove();
    if (open.length > 0) throw new Error(`test databases left open: ${open.join(', ')}`);
  };
}

/** Test databases that a passing suite has forgotten to close. */
async function openDatabases(connectionString: string): Promise<string[]> {
  const client = new Client({ connectionString });
  await client.connect();
  const { rows } = await client.query(`select datname from pg_database where datname like 'test\\_%'`);
  await client.end();
  return rows.map((row) => row.datname);
}

/** A suite that was killed left its Postgres running. */
async function removeLeftovers(): Promise<void> {
  for (const name of await readdir(tmpdir())) {
    const pid = Number(/^alignsae-test-(\d+)-/.exec(name)?.[1]);
    if (!pid || isAlive(pid)) continue;
    const dataDir = join(tmpdir(), name);
    const running = await access(join(dataDir, 'cluster', 'postmaster.pid')).then(
      () => true,
      () => false,
    );
    // Another user's leftovers are that user's to remove.
    if (running)
      await startEmbeddedPostgres({ dataDir, log: silentLog }).then(
        (p) => p.stop(),
        () => undefined,
      );
    await rm(dataDir, { recursive: true, force: true }).catch(() => undefined);
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}
