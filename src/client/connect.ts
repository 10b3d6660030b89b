/** A graphql-ws client that notices a connection that is dead, and leaves trying again to `follow`. */
import { type Client, type ClientOptions, createClient } from 'graphql-ws';

export interface ConnectOptions {
  /** An API key, where the server needs one. */
  key?: string;
  /** Told of the socket's life. */
  on?: ClientOptions['on'];
}

const PING_EVERY_MS = 10_000;
const PONG_WITHIN_MS = 5_000;
/** Who leaves one view for another keeps the socket. */
const KEEP_OPEN_MS = 1_000;

/** Connects at the first subscription; `url` is the address of `/graphql`, with `http` or `ws`. */
export function openClient(url: string, { key, on }: ConnectOptions, webSocketImpl: unknown): Client {
  let overdue: ReturnType<typeof setTimeout> | undefined;
  const client = createClient({
    url: url.replace(/^http/, 'ws'),
    webSocketImpl,
    connectionParams: key === undefined ? {} : { authorization: `Bearer ${key}` },
    retryAttempts: 0,
    lazyCloseTimeout: KEEP_OPEN_MS,
    keepAlive: PING_EVERY_MS,
    on,
  });
  client.on('ping', (isReceived) => {
    if (!isReceived) overdue = setTimeout(() => client.terminate(), PONG_WITHIN_MS);
  });
  client.on('pong', (isReceived) => {
    if (isReceived) clearTimeout(overdue);
  });
  client.on('closed', () => clearTimeout(overdue));
  return client;
}
