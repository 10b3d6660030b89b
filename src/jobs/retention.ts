/** Collecting on time: of all servers of a database, one at a time, and no more often than is asked for. */
import { setTimeout as delay } from 'node:timers/promises';
import type { ArtifactStore } from '../db/artifactStore.ts';
import type { Database } from '../db/client.ts';
import { lastCollection } from '../db/queries/retention.ts';
import type { Logger } from '../log.ts';
import {
  type Amount,
  collectByRules,
  type RetentionAges,
  type RetentionPolicyName,
} from '../services/retention.ts';

export interface RetentionOptions {
  database: Database;
  store: ArtifactStore;
  ages: RetentionAges;
  /** Between two rounds, whichever server has them. */
  intervalMs: number;
  log: Logger;
}

/** Longest pause between two looks at whether it is time. */
const LOOK_MS = 60_000;
const LOCK = `hashtextextended('retention ' || current_schema(), 0)`;

/** Collects whenever it is time, until `stop`; that resolves when nothing is under way. */
export function startRetention(options: RetentionOptions): { stop(): Promise<void> } {
  const stopping = new AbortController();
  const loop = keepCollecting(options, stopping.signal);
  return {
    stop() {
      stopping.abort();
      return loop;
    },
  };
}

async function keepCollecting(options: RetentionOptions, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    try {
      await collectIfDue(options, signal);
    } catch (error) {
      options.log.warn({ err: error }, 'nothing could be collected now; the next round follows');
    }
    await delay(Math.min(options.intervalMs, LOOK_MS), undefined, { signal, ref: false }).catch(() => {});
  }
}

/** One round, unless another server has one, or had it within the interval; null then. */
export async function collectIfDue(
  { database, store, ages, intervalMs, log }: RetentionOptions,
  signal?: AbortSignal,
): Promise<Map<RetentionPolicyName, Amount> | null> {
  const { db } = database;
  return withLock(database, async () => {
    // Noted by every round, whatever it collects.
    const last = await lastCollection(db, 'LEFTOVERS');
    if (last && Date.now() - last.getTime() < intervalMs) return null;
    const collected = await collectByRules({ db, store }, ages, {
      signal,
      onFailure: (policy, error) => log.error({ err: error, policy }, 'collecting failed'),
    });
    for (const [policy, amount] of collected)
      log.info({ policy, ...amount }, 'what nobody needs was collected');
    return collected;
  });
}

/** Does `work` while this session alone holds the lock, which dies with it; null where another holds it. */
async function withLock<T>({ pool }: Database, work: () => Promise<T>): Promise<T | null> {
  const client = await pool.connect();
  let broken: Error | undefined;
  try {
    const { rows } = await client.query(`select pg_try_advisory_lock(${LOCK}) as held`);
    if (!rows[0].held) return null;
    try {
      return await work();
    } finally {
      await client.query(`select pg_advisory_unlock(${LOCK})`).catch((error) => {
        // A connection that may still hold the lock must not go back to the pool.
        broken = error;
      });
    }
  } finally {
    client.release(broken);
  }
}
