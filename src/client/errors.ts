/** Why a subscription cannot be followed any further. */

export class FollowError extends Error {
  override readonly name = 'FollowError';
  constructor(
    message: string,
    /** The server's code (`NOT_FOUND`, `FORBIDDEN`, …), `UNAUTHENTICATED`, `REFUSED`, or `OFFLINE` where no server answered. */
    readonly code: string,
  ) {
    super(message);
  }
}

/** An error of a GraphQL result. */
export interface ResultError {
  message: string;
  extensions?: Record<string, unknown>;
}

/** Errors that pass; the second after a cut alone, while the server has not noticed that the old socket is gone. */
const PASSING = 'UNAVAILABLE';
const PASSING_AFTER_A_CUT = 'LIMIT_EXCEEDED';

const UNAUTHORIZED = [4401, 4403];
/** Closes after which the same would be refused again: faults of the protocol, and what graphql-ws says of a request. */
const FINAL = [1002, 1003, 1007, 1008, 1009, 1010, 4004, 4005, 4400, 4404, 4406, 4409, 4429];

/** What the server has against the subscription; null where it may have nothing against it in a moment. */
export function refusalIn([error]: readonly ResultError[], isResumed: boolean): FollowError | null {
  const code = String(error?.extensions?.code ?? 'INVALID_INPUT');
  if (code === PASSING || (isResumed && code === PASSING_AFTER_A_CUT)) return null;
  return new FollowError(error?.message ?? 'The server named no reason.', code);
}

/** What ended the socket, if it is no use to open another; `reason` is what graphql-ws tells a subscriber. */
export function refusalOf(reason: unknown): FollowError | null {
  const { code } = reason as { code?: unknown };
  if (UNAUTHORIZED.includes(code as number))
    return new FollowError(wordsOf(reason) || 'This server needs an API key.', 'UNAUTHENTICATED');
  if (FINAL.includes(code as number) || /server response: 4\d\d/.test(wordsOf(reason)))
    return new FollowError(`The server refused the connection: ${wordsOf(reason)}.`, 'REFUSED');
  return null;
}

/** A close event or an error in words. */
export function wordsOf(reason: unknown): string {
  const { reason: said, message, error, code } = reason as Record<string, unknown>;
  return String(said || message || (error as { code?: string } | undefined)?.code || `close code ${code}`);
}
