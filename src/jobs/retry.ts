/** Postgres goes away now and then, and disks fill up; work that took minutes must not be lost to that. */
import { setTimeout as delay } from 'node:timers/promises';
import { whyTransient } from '../db/transient.ts';
import type { Logger } from '../log.ts';

const FIRST_DELAY_MS = 100;
const LONGEST_DELAY_MS = 2000;

/**
 * Runs `work` until it succeeds, or fails for a reason that time does not heal, or `signal` aborts. It must be
 * something that may be done twice: a commit whose confirmation is lost is repeated.
 */
export async function withRetry<T>(work: () => Promise<T>, log: Logger, signal?: AbortSignal): Promise<T> {
  for (let wait = FIRST_DELAY_MS; ; wait = Math.min(wait * 2, LONGEST_DELAY_MS)) {
    signal?.throwIfAborted();
    try {
      return await work();
    } catch (error) {
      const why = whyTransient(error);
      if (!why) throw error;
      log.warn({ err: error, why, wait }, 'this cannot be stored now; trying again');
    }
    await delay(wait, undefined, { signal });
  }
}
