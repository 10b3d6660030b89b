/** Postgres goes away now and then (restart, failover); work that took minutes must not be lost to that. */
import { setTimeout as delay } from 'node:timers/promises';
import type { Logger } from '../log.ts';

const FIRST_DELAY_MS = 100;
const LONGEST_DELAY_MS = 2000;

/** SQLSTATE classes and errno codes after which the same statement may succeed: connection, restart, serialization. */
const TRANSIENT =
  /^(08|57P|53|40001|40P01|25P03|ECONN|EPIPE|ETIMEDOUT|EHOSTUNREACH|ENETUNREACH|ENOTFOUND|EAI_AGAIN)/;
const TRANSIENT_TEXT =
  /connect ENOENT|connection (terminated|timeout|error|ended)|timeout exceeded when trying to connect|not queryable/i;

/** Whether an error (or what caused it) speaks of the connection to Postgres rather than of the statement. */
export function isTransient(error: unknown): boolean {
  for (let e = error; e instanceof Error; e = e.cause) {
    if (e instanceof AggregateError && e.errors.some(isTransient)) return true;
    if ('code' in e && typeof e.code === 'string' && TRANSIENT.test(e.code)) return true;
    if (TRANSIENT_TEXT.test(e.message)) return true;
  }
  return false;
}

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
      if (!isTransient(error)) throw error;
      log.warn({ err: error, wait }, 'the database is away; trying again');
    }
    await delay(wait, undefined, { signal });
  }
}
