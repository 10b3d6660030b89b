/** The demo's client of the public API, such as any app could have: fetch for operations, `follow` for events. */
import { connect, follow } from '../client/index.ts';

export interface ApiClient {
  /** Runs one operation; @throws Error with the server's messages. */
  request<T>(query: string, variables?: Record<string, unknown>): Promise<T>;
  /** Items of a subscription, each once, until the server completes it. */
  subscribe<T extends object>(query: string, variables: Record<string, unknown>): AsyncIterable<T>;
  close(): Promise<void>;
}

/** `endpoint` is the URL of `/graphql`; the WebSocket has the same address. */
export function createApiClient(endpoint: string): ApiClient {
  const socket = connect(endpoint);
  return {
    async request<T>(query: string, variables: Record<string, unknown> = {}) {
      const response = await fetch(endpoint, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ query, variables }),
      });
      return unwrap<T>((await response.json()) as Reply<T>);
    },
    subscribe: (query, variables) => follow(socket, { query, variables }),
    async close() {
      await socket.dispose();
    },
  };
}

interface Reply<T> {
  data?: T | null;
  errors?: readonly { message: string }[];
}

function unwrap<T>({ data, errors }: Reply<T>): T {
  if (errors?.length) throw new Error(errors.map((e) => e.message).join('\n'));
  return data as T;
}

/** The success member of a mutation's union; @throws Error with the typed error's words otherwise. */
export function success<T extends { __typename: string }>(
  result: T,
): Extract<T, { __typename: `${string}Success` }> {
  if (result.__typename.endsWith('Success')) return result as never;
  const { message, path } = result as unknown as { message: string; path?: string[] };
  throw new Error(path?.length ? `${path.join('.')}: ${message}` : message);
}
