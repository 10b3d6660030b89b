/** A stream as the body of an HTTP response: server-sent events, or Apollo's multipart subscriptions. */
import type { ServerResponse } from 'node:http';
import type { LiveResult, LiveStream } from './liveStream.ts';
import { pump, type Sink } from './pump.ts';
import type { Turns } from './turns.ts';

/** Proxies and clients take a silent connection for a dead one. */
const PING_MS = 12_000;

export interface StreamFormat {
  contentType: string;
  /** Sent at once, so that the client knows that the stream is open. */
  head: string;
  ping: string;
  /** One result. */
  encode(result: LiveResult): string;
  /** Says that the stream has come to its end, rather than broken off. */
  tail: string;
}

/** After how long a browser connects again; otherwise it takes seconds. */
const RECONNECT_MS = 500;

/** The "distinct connections" mode of GraphQL over SSE; `id` is the cursor, which browsers send back as `Last-Event-ID`. */
export const SERVER_SENT_EVENTS: StreamFormat = {
  contentType: 'text/event-stream',
  head: `retry: ${RECONNECT_MS}\n:\n\n`,
  ping: ':\n\n',
  encode: ({ json, cursor }) => `${cursor === null ? '' : `id: ${cursor}\n`}event: next\ndata: ${json}\n\n`,
  tail: 'event: complete\ndata:\n\n',
};

/** Apollo's protocol for subscriptions over multipart HTTP, version 1.0. */
export const MULTIPART_SUBSCRIPTION: StreamFormat = {
  contentType: 'multipart/mixed;boundary="graphql";subscriptionSpec=1.0',
  head: '\r\n--graphql',
  ping: '\r\nContent-Type: application/json\r\n\r\n{}\r\n--graphql',
  encode: ({ json }) => `\r\nContent-Type: application/json\r\n\r\n{"payload":${json}}\r\n--graphql`,
  tail: '--\r\n',
};

/** Sends the whole stream; resolves when all is sent or the client is gone. The headers of `response` go with it. */
export async function sendStream(
  stream: LiveStream,
  response: ServerResponse,
  format: StreamFormat,
  turns: Turns,
): Promise<void> {
  response.once('close', () => stream.close());
  response.writeHead(200, {
    'content-type': format.contentType,
    'cache-control': 'no-cache, no-transform',
    // nginx and others that do as it does: pass every event on as it comes.
    'x-accel-buffering': 'no',
  });
  response.write(format.head);
  const ping = setInterval(() => {
    if (!response.writableNeedDrain) response.write(format.ping);
  }, PING_MS);
  const sink: Sink = {
    ready: () => roomIn(response),
    write(results) {
      if (!response.destroyed) response.write(results.map(format.encode).join(''));
    },
  };
  try {
    if (await pump(stream, sink, turns)) response.end(format.tail);
    else response.destroy();
  } finally {
    clearInterval(ping);
  }
}

function roomIn(response: ServerResponse): Promise<boolean> {
  if (response.destroyed) return Promise.resolve(false);
  if (!response.writableNeedDrain) return Promise.resolve(true);
  return new Promise((resolve) => {
    const settle = () => {
      response.off('drain', settle).off('close', settle);
      resolve(!response.destroyed);
    };
    response.on('drain', settle).on('close', settle);
  });
}
