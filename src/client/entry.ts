/** What the package offers, over the WebSocket of where it runs. */
import type { Client } from 'graphql-ws';
import { type ConnectOptions, openClient } from './connect.ts';
import { type Following, followOver } from './follow.ts';

export interface FollowClient {
  /** One socket that many subscriptions can share; `dispose` closes it. */
  connect(url: string, options?: ConnectOptions): Client;
  /**
   * Follows a subscription (`runEvents`, `grokking`, …) through any number of cuts: the data of each item, each once and
   * none missed, until the server completes it. `server` is the address of `/graphql`, or what `connect` gave.
   * @throws FollowError when the server refuses the subscription, or is away for longer than `patienceMs`.
   */
  follow<Data extends object = Record<string, unknown>>(
    server: string | Client,
    following: Following & Pick<ConnectOptions, 'key'>,
  ): AsyncIterableIterator<Data>;
}

export function createFollowClient(webSocketImpl: unknown): FollowClient {
  const connect: FollowClient['connect'] = (url, options = {}) => openClient(url, options, webSocketImpl);
  return {
    connect,
    follow(server, { key, ...following }) {
      if (typeof server !== 'string') return followOver(server, following);
      const client = connect(server, { key });
      return followOver(client, following, () => client.dispose());
    },
  };
}
