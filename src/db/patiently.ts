/** Reads that wait while Postgres is away. */
import { setTimeout as delay } from 'node:timers/promises';
import { whyTransient } from './transient.ts';

const MIN_RETRY_MS = 50;
const MAX_RETRY_MS = 2_000;

/** Repeats `query` after errors that time heals, for as long as somebody waits for it. */
export async function patiently<T>(
  query: () => Promise<T>,
  options: { isAwaited(): boolean; onRetry(error: unknown): void },
): Promise<T> {
  for (let retryMs = MIN_RETRY_MS; ; retryMs = Math.min(2 * retryMs, MAX_RETRY_MS)) {
    try {
      return await query();
    } catch (error) {
      if (!whyTransient(error) || !options.isAwaited()) throw error;
      options.onRetry(error);
      await delay(retryMs);
    }
  }
}
