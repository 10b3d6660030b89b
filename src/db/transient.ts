/** Whether time heals an error: the one place that tells what is worth trying again, and what callers are told. */
import { AppError } from '../errors.ts';

/** Why the same may succeed later. */
export type Transience =
  /** Postgres cannot be reached, restarts, or ended the connection. */
  | 'AWAY'
  /** No room on a disk, in memory or among connections: Postgres' or the store's. */
  | 'FULL'
  /** Another transaction was in the way. */
  | 'BUSY';

/** Something outside did not do what it should, and may the next time. */
export class Away extends Error {}

/** SQLSTATE classes and errno codes. */
const CODES: Readonly<Record<Transience, RegExp>> = {
  AWAY: /^(08|57P|25P0[345]|ECONN|EPIPE$|ETIMEDOUT|EHOSTUNREACH|EHOSTDOWN|ENETUNREACH|ENETDOWN|ENOTFOUND|EAI_AGAIN)/,
  // Read-only is what a file system becomes whose disk fails, and what it is no more once that is mended.
  FULL: /^(53|58030|ENOSPC|EDQUOT|EROFS|ESTALE|EMFILE|ENFILE)/,
  BUSY: /^(40001|40P01|55P03)/,
};
/** What `pg` throws without a code, and a socket file that is not there. */
const AWAY_MESSAGE =
  /connect ENOENT|connection (terminated|timeout|error|ended)|timeout exceeded when trying to connect|query read timeout|not queryable/i;

/** What an engine process, whose errors arrive as text, says of a full disk. */
const FULL_MESSAGE = /\b(ENOSPC|EDQUOT)\b|no space left on device/i;

/** Looks through what wraps an error, such as drizzle's and our own; null if the same would fail again. */
export function whyTransient(error: unknown): Transience | null {
  for (let e = error; e instanceof Error; e = e.cause) {
    if (e instanceof AggregateError) {
      for (const one of e.errors) {
        const why = whyTransient(one);
        if (why) return why;
      }
    }
    if (e instanceof Away || isOverloaded(e)) return 'AWAY';
    const { code } = e as { code?: unknown };
    if (typeof code === 'string') {
      for (const why of ['AWAY', 'FULL', 'BUSY'] as const) if (CODES[why].test(code)) return why;
    }
    if (AWAY_MESSAGE.test(e.message)) return 'AWAY';
    if (FULL_MESSAGE.test(e.message)) return 'FULL';
  }
  return null;
}

/** What a store elsewhere answers when it has too much to do, or does not answer in time. */
function isOverloaded(error: Error & { $metadata?: { httpStatusCode?: number } }): boolean {
  const status = error.$metadata?.httpStatusCode ?? 0;
  return status >= 500 || status === 429 || error.name === 'TimeoutError' || error.name === 'RequestTimeout';
}

/** Seconds after which callers may try again. */
export const RETRY_AFTER_SECONDS = 2;

const TOLD: Readonly<Record<Transience, string>> = {
  AWAY: 'The database cannot be reached at the moment',
  FULL: 'The server is out of space or connections at the moment',
  BUSY: 'Another request changed the same at the same time',
};

/** What a caller is told of an error that time heals; null for any other, and for what is told as it is. */
export function toUnavailable(error: unknown): AppError | null {
  if (error instanceof AppError && error.code !== 'INTERNAL') return null;
  const why = whyTransient(error);
  const told = why ? TOLD[why] : isStatementTimeout(error) ? 'The database took too long to answer' : null;
  if (!told) return null;
  return new AppError('UNAVAILABLE', `${told}; try again in ${RETRY_AFTER_SECONDS} seconds.`, {
    cause: error,
  });
}

/** Not transient: a worker that tried such a statement for ever would never get on. */
function isStatementTimeout(error: unknown): boolean {
  for (let e = error; e instanceof Error; e = e.cause) if ('code' in e && e.code === '57014') return true;
  return false;
}
