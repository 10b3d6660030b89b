/** Waiting for a server that cannot answer now: it starts again, has too much to do, or lost its database for a moment. */
import { ApiError } from './graphql.ts';

const FIRST_WAIT_MS = 500;
const LONGEST_WAIT_MS = 10_000;
/** A server that answers each time that it cannot may never be able to; one that is away comes back. */
const MOST_REFUSALS = 8;

/** Codes of what passes by itself. */
const PASSING = /^(OFFLINE|UNAVAILABLE|HTTP_(429|502|503|504))$/;

export interface Patience {
  signal: AbortSignal;
  /** Told before each wait. */
  wait(error: ApiError): void;
}

/** Asks until there is an answer. @throws ApiError what does not pass, or has not in about a minute; the signal's reason */
export async function askPatiently<T>(ask: () => Promise<T>, { signal, wait }: Patience): Promise<T> {
  let refusals = 0;
  for (let waitMs = FIRST_WAIT_MS; ; waitMs = Math.min(waitMs * 2, LONGEST_WAIT_MS)) {
    try {
      return await ask();
    } catch (error) {
      signal.throwIfAborted();
      if (!(error instanceof ApiError) || !PASSING.test(error.code)) throw error;
      if (error.code !== 'OFFLINE' && ++refusals > MOST_REFUSALS) throw error;
      wait(new ApiError(`${error.message} It is asked again by itself.`, error.code));
      // Not all at once: whoever waited for the same server would ask in the same moment.
      await pause(waitMs * (0.75 + Math.random() / 2), signal);
    }
  }
}

/** Shorter where the browser says that the network is back. @throws the signal's reason */
async function pause(ms: number, signal: AbortSignal): Promise<void> {
  const over = new AbortController();
  await new Promise<void>((resolve) => {
    const timer = setTimeout(resolve, ms);
    over.signal.addEventListener('abort', () => clearTimeout(timer));
    addEventListener('online', () => resolve(), { signal: over.signal });
    signal.addEventListener('abort', () => resolve(), { signal: over.signal });
  });
  over.abort();
  signal.throwIfAborted();
}
