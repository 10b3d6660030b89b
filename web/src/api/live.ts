/** Subscriptions over one WebSocket, each going on behind the last cursor that it was told. */
import { signal } from '@preact/signals';
import { type Client, createClient } from 'graphql-ws';
import { ApiError, type TypedDocument } from './graphql.ts';

/** Whether what streams is up to date; shown in the header. */
export const connection = signal<'idle' | 'live' | 'lost'>('idle');

const FIRST_WAIT_MS = 250;
const LONGEST_WAIT_MS = 8_000;
const FORBIDDEN_CLOSE = 4403;
const UNAUTHORIZED_CLOSE = 4401;

let client: Client | null = null;

function socket(): Client {
  client ??= createClient({
    url: `${location.origin.replace(/^http/, 'ws')}/graphql`,
    // A second try of its own would begin with the first cursor again.
    retryAttempts: 0,
    lazyCloseTimeout: 5_000,
    keepAlive: 10_000,
    on: {
      connected: () => {
        connection.value = 'live';
      },
      closed: (event) => {
        const { code } = event as CloseEvent;
        connection.value = code === 1000 ? 'idle' : 'lost';
      },
    },
  });
  return client;
}

export interface Follow<Result, Variables> {
  document: TypedDocument<Result, Variables>;
  /** The variables to go on with behind `cursor`; null at the start. */
  variables(cursor: string | null): NoInfer<Variables>;
  /** Takes what came and gives its cursor; null leaves the place where it was. */
  next(result: Result): string | null;
  /** It cannot be gone on with: where the socket breaks, it fails. */
  isOnce?: boolean;
  /** The stream has ended by itself. */
  end?(): void;
  /** It cannot go on: the server refuses it. */
  fail?(error: ApiError): void;
}

/** Follows until the returned function is called; broken sockets and servers that start again are waited for. */
export function follow<Result, Variables>(what: Follow<Result, Variables>): () => void {
  let cursor: string | null = null;
  let wait = FIRST_WAIT_MS;
  let isOver = false;
  let stop: () => void = () => undefined;
  let timer: ReturnType<typeof setTimeout> | undefined;

  const begin = () => {
    stop = socket().subscribe<Result>(
      { query: what.document, variables: what.variables(cursor) as Record<string, unknown> },
      {
        next({ data, errors }) {
          if (isOver) return;
          if (errors?.[0]) return fail(errors[0].message, String(errors[0].extensions?.code ?? 'INTERNAL'));
          wait = FIRST_WAIT_MS;
          cursor = what.next(data!) ?? cursor;
        },
        error(error) {
          if (isOver) return;
          if (Array.isArray(error))
            return fail(error[0].message, String(error[0].extensions?.code ?? 'INTERNAL'));
          const { code, reason } = error as CloseEvent;
          if (code === UNAUTHORIZED_CLOSE || code === FORBIDDEN_CLOSE)
            return fail(reason || 'This server needs an API key.', 'UNAUTHENTICATED');
          later();
        },
        complete() {
          if (isOver) return;
          isOver = true;
          what.end?.();
        },
      },
    );
  };
  const later = () => {
    if (what.isOnce) return refuse('The connection was lost.', 'OFFLINE');
    timer = setTimeout(begin, wait * (0.5 + Math.random() / 2));
    wait = Math.min(wait * 2, LONGEST_WAIT_MS);
  };
  const fail = (message: string, code: string) => {
    if (!what.isOnce && (code === 'UNAVAILABLE' || code === 'INTERNAL')) return later();
    refuse(message, code);
  };
  const refuse = (message: string, code: string) => {
    isOver = true;
    what.fail?.(new ApiError(message, code));
  };
  begin();
  return () => {
    isOver = true;
    clearTimeout(timer);
    stop();
  };
}
