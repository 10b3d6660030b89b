/** Subscriptions over one WebSocket, each going on behind the last cursor that it was told. */
import { signal } from '@preact/signals';
import type { Client } from 'graphql-ws';
import { connect, type FollowError, follow as followServer } from '../../../src/client/browser.ts';
import { ApiError, type TypedDocument } from './graphql.ts';

/** Whether what streams is up to date; shown in the header. */
export const connection = signal<'idle' | 'live' | 'lost'>('idle');

let client: Client | null = null;

function socket(): Client {
  client ??= connect(`${location.origin}/graphql`, {
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

export interface Listening<Result, Variables> {
  document: TypedDocument<Result, Variables>;
  variables: NoInfer<Variables>;
  next(result: Result): void;
  /** The stream has ended by itself. */
  end?(): void;
  /** It cannot go on: the server refuses it. */
  fail?(error: ApiError): void;
}

/** Follows until the returned function is called; broken sockets and servers that start again are waited for. */
export function follow<Result extends object, Variables extends { after?: unknown }>({
  document,
  variables,
  next,
  end,
  fail,
}: Listening<Result, Variables>): () => void {
  const leaving = new AbortController();
  const items = followServer<Result>(socket(), {
    ...{ query: document, variables: variables as Record<string, unknown>, signal: leaving.signal },
    patienceMs: Number.POSITIVE_INFINITY,
  });
  const read = async () => {
    for await (const item of items) if (!leaving.signal.aborted) next(item);
    if (!leaving.signal.aborted) end?.();
  };
  read().catch(({ message, code }: FollowError) => fail?.(new ApiError(message, code)));
  return () => leaving.abort();
}

/** Listens to what cannot be gone on with: where the socket breaks, it fails. */
export function listen<Result, Variables>({
  document,
  variables,
  next,
  end,
  fail,
}: Listening<Result, Variables>): () => void {
  let isOver = false;
  const finish = (tell: () => void) => {
    if (isOver) return;
    isOver = true;
    tell();
  };
  const refuse = (error: { message: string; extensions?: Record<string, unknown> }) =>
    finish(() => fail?.(new ApiError(error.message, String(error.extensions?.code ?? 'INTERNAL'))));
  const stop = socket().subscribe<Result>(
    { query: document, variables: variables as Record<string, unknown> },
    {
      next({ data, errors }) {
        if (errors?.[0]) refuse(errors[0]);
        else if (!isOver) next(data!);
      },
      error: (error) =>
        refuse(
          Array.isArray(error)
            ? error[0]
            : { message: 'The connection was lost.', extensions: { code: 'OFFLINE' } },
        ),
      complete: () => finish(() => end?.()),
    },
  );
  return () => finish(stop);
}
