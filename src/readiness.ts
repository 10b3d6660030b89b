/** Whether the server can do its work, without waiting for what keeps it busy. */
import { setTimeout as delay } from 'node:timers/promises';
import { Pool } from 'pg';
import { pinSession } from './db/pin.ts';
import type { StoreGuard } from './db/storeIdentity.ts';
import { AppError } from './errors.ts';

/** Longest wait for each of the two; a hanging network file system or database is not ready. */
const ANSWER_MS = 3_000;
/** Answers younger than this are given again: probes must not become a load. */
const FRESH_MS = 500;

export interface Readiness {
  /** Resolves when the database answers and the store can be written. @throws AppError UNAVAILABLE naming which not. */
  check(): Promise<void>;
  close(): Promise<void>;
}

/** Asks over a connection of its own: one of the pool would have to be waited for when the server is busy. */
export function createReadiness(connectionString: string, store: StoreGuard): Readiness {
  const pool = new Pool({
    connectionString,
    max: 1,
    application_name: 'alignsae readiness',
    connectionTimeoutMillis: ANSWER_MS,
    query_timeout: ANSWER_MS,
    idleTimeoutMillis: 60_000,
    keepAlive: true,
    onConnect: (client) => pinSession(client, connectionString, { statementTimeoutMs: ANSWER_MS }),
  });
  pool.on('error', () => undefined);
  const ask = async () => {
    await Promise.all([askDatabase(pool), within(ANSWER_MS, store.check())]);
  };
  let asked: { at: number; answer: Promise<void> } | null = null;
  return {
    check() {
      if (!asked || performance.now() - asked.at > FRESH_MS) {
        asked = { at: performance.now(), answer: ask() };
        asked.answer.catch(() => undefined);
      }
      return asked.answer;
    },
    close: () => pool.end(),
  };
}

async function askDatabase(pool: Pool): Promise<void> {
  try {
    await pool.query('select 1');
  } catch (cause) {
    throw new AppError('UNAVAILABLE', 'database: it does not answer', { cause });
  }
}

async function within<T>(ms: number, work: Promise<T>): Promise<T> {
  const late = new AbortController();
  const tooLate = delay(ms, undefined, { signal: late.signal }).then(() => {
    throw new AppError('UNAVAILABLE', `artifact store: it did not answer in ${ms / 1000} s`);
  });
  try {
    return await Promise.race([work, tooLate]);
  } finally {
    late.abort();
    tooLate.catch(() => undefined);
  }
}
