/**
 * A real Postgres of the server's own, from npm's binaries, on a unix socket inside the data directory.
 *
 * The postmaster does not depend on the process that started it: whoever comes later adopts it, and it survives
 * kill -9 of the server. Every user of it holds a shared advisory lock for as long as it lives; the last one
 * out, who alone can get that lock exclusively, shuts it down. So neither starting nor stopping needs a lock
 * file that a killed process could leave behind: Postgres' own `postmaster.pid` decides who starts.
 */
import { join } from 'node:path';
import { prepareBinaries } from './embedded/binaries.ts';
import { ensureCluster, ensureSocketDir, readPassword, settleHome } from './embedded/cluster.ts';
import { Keeper } from './embedded/keeper.ts';
import { chooseOwner } from './embedded/owner.ts';
import { chooseAddress } from './embedded/postmaster.ts';
import type { DbLog } from './log.ts';

export interface EmbeddedOptions {
  /** Directory for its files; made if it does not exist. */
  dataDir: string;
  log: DbLog;
  /** Further settings, as in postgresql.conf, for a postmaster that has to be started. */
  settings?: Readonly<Record<string, string>>;
}

export interface EmbeddedPostgres {
  /** Of a database named `alignsae`, which exists. Stays valid when Postgres has to be started again. */
  connectionString: string;
  /** True if it was running already. */
  adopted: boolean;
  /** Gives it up; resolves when Postgres has shut down, or at once if another process still uses it. */
  stop(): Promise<void>;
}

/**
 * Starts Postgres on `dataDir`, or adopts the one that runs there, and keeps it running until `stop`.
 *
 * @throws AppError CONFLICT if something else occupies the directory; UNAVAILABLE if it cannot run here.
 */
export async function startEmbeddedPostgres(options: EmbeddedOptions): Promise<EmbeddedPostgres> {
  const owner = await chooseOwner(options.dataDir);
  const home = await settleHome(options.dataDir, owner);
  const binaries = await prepareBinaries(home, owner);
  const cluster = await ensureCluster(binaries.initdb, home, owner);
  const keeper = new Keeper({
    log: options.log,
    password: process.platform === 'win32' ? await readPassword(home) : undefined,
    launch: {
      postgres: binaries.postgres,
      cluster,
      listen: await chooseAddress(await ensureSocketDir(home, owner)),
      logFile: join(home, 'server.log'),
      owner,
      settings: { ...SETTINGS, ...options.settings },
    },
  });
  const adopted = await keeper.start();
  return { connectionString: keeper.connectionString(), adopted, stop: () => keeper.stop() };
}

const SETTINGS = {
  log_checkpoints: 'off',
  max_connections: '200',
  // Parallel plans share memory through /dev/shm, which containers keep tiny; these queries gain nothing by them.
  max_parallel_workers_per_gather: '0',
  max_parallel_maintenance_workers: '0',
  timezone: 'UTC',
};
