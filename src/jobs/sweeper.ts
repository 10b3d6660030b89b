/** What every live worker does each second: gives runs of dead workers, and runs that were forgotten, to the living. */
import { readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { and, eq, isNotNull } from 'drizzle-orm';
import type { Database, Executor } from '../db/client.ts';
import { failDeadlyRuns, listRunsOf, type Run } from '../db/queries/runs.ts';
import { buryWorkers, listWorkers } from '../db/queries/workers.ts';
import { Steadiness } from '../db/steadiness.ts';
import { runs, workers } from '../db/tables/index.ts';
import { type Patience, WorkerWatch } from '../db/workerWatch.ts';
import type { Logger } from '../log.ts';
import { enqueueAgain, giveBack, listUnattendedRuns } from './queue.ts';

/** A killed worker's lock is free at once, a hanging one keeps it; sessions try for 5 s at most between two attempts. */
const PATIENCE: Patience = { unlockedMs: 1000, silentMs: 30_000, recoverMs: 8000 };
/** A worker that took a job and has not claimed its run after this long is dead. */
const CLAIM_MS = 10_000;

export interface SweeperOptions {
  database: Database;
  workRoot: string;
  log: Logger;
}

export class Sweeper {
  readonly #options: SweeperOptions;
  readonly #watch = new WorkerWatch(PATIENCE);
  readonly #jobs = new Steadiness();

  constructor(options: SweeperOptions) {
    this.#options = options;
  }

  /** One round, on behalf of a worker; `isBusyWith` tells whether it claims or executes a run at this moment. */
  async sweep(ownId: string, isBusyWith: (runId: string) => boolean): Promise<void> {
    try {
      await this.#buryTheDead(ownId);
      await this.#endTheDeadly();
      await this.#requeueTheLost(ownId, isBusyWith);
    } catch (error) {
      this.#watch.beginAnew();
      throw error;
    }
  }

  /** Removes what dead workers left in the work directory; those of other machines are not seen here. */
  async removeLeftovers(): Promise<void> {
    const { database, workRoot } = this.#options;
    const names = await readdir(workRoot).catch(() => []);
    const alive = new Set((await listWorkers(database.db)).map(({ id }) => id));
    for (const name of names)
      if (!alive.has(name)) await rm(join(workRoot, name), { recursive: true, force: true });
  }

  async #buryTheDead(ownId: string): Promise<void> {
    const { database, log } = this.#options;
    const dead = (await this.#watch.findDead(database.db)).filter((id) => id !== ownId);
    if (dead.length === 0) return;
    const left = await database.db.transaction(async (tx) => {
      const requeued = await buryWorkers(tx, dead);
      for (const { id } of requeued) await enqueueAgain(tx, id);
      return requeued.map(({ id }) => id);
    });
    log.warn({ workers: dead, runs: left }, 'workers died; their runs wait again');
    await this.removeLeftovers();
  }

  async #endTheDeadly(): Promise<void> {
    const { database, log } = this.#options;
    for (const { id, deaths } of await failDeadlyRuns(database.db))
      log.error({ runId: id, deaths }, 'a run whose workers die is given up');
  }

  async #requeueTheLost(ownId: string, isBusyWith: (runId: string) => boolean): Promise<void> {
    const { db } = this.#options.database;
    // Claimed, but the answer was lost with the connection.
    const unknown = (await listRunsOf(db, [ownId])).filter(({ id }) => !isBusyWith(id));
    for (const run of [...unknown, ...(await listOrphans(db))]) await giveBack(db, run);
    for (const runId of await this.#findForgotten(db)) await enqueueAgain(db, runId);
  }

  async #findForgotten(db: Executor): Promise<string[]> {
    const waiting = await listUnattendedRuns(db);
    const held = waiting.filter(({ heldBy }) => heldBy !== null);
    const heldFor = this.#jobs.observe(new Map(held.map(({ id, heldBy }) => [id, heldBy!])));
    return waiting
      .filter(({ id, heldBy }) => heldBy === null || heldFor.get(id)! >= CLAIM_MS)
      .map(({ id }) => id);
  }
}

/** Runs claimed in the name of a worker that had just been declared dead. */
async function listOrphans(db: Executor): Promise<Run[]> {
  const rows = await db
    .select({ run: runs })
    .from(runs)
    .innerJoin(workers, eq(workers.id, runs.workerId))
    .where(and(eq(runs.status, 'RUNNING'), isNotNull(workers.endedAt)));
  return rows.map(({ run }) => run);
}
