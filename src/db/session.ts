/** A connection of its own for what lives and dies with a session: LISTEN, advisory locks. */
import { setTimeout as delay } from 'node:timers/promises';
import { Client } from 'pg';
import type { DbLog } from './log.ts';
import { pinSession } from './pin.ts';

const MIN_RETRY_MS = 50;
const MAX_RETRY_MS = 5_000;
/** No answer for this long means that the connection is dead, whatever TCP still believes. */
const ANSWER_MS = 5_000;

export interface SessionOptions {
  connectionString: string;
  applicationName: string;
  log: DbLog;
  /** Sets a new connection up; if it throws, the connection is given up and another one tried later. */
  onConnect(client: Client): Promise<void>;
  /** Asked every `probeMs` whether the connection still works. */
  probe(client: Client): Promise<void>;
  probeMs: number;
}

export interface Session {
  /** Resolves when it is connected for the first time (or closed before). */
  ready: Promise<void>;
  close(): Promise<void>;
}

/** Keeps a connection open until `close`, with growing pauses between attempts while Postgres is away. */
export function keepSession(options: SessionOptions): Session {
  const closing = new AbortController();
  let onReady = () => {};
  const ready = new Promise<void>((resolve) => {
    onReady = resolve;
  });
  const loop = keepConnecting(options, closing.signal, onReady).finally(onReady);
  return {
    ready,
    close() {
      closing.abort();
      return loop;
    },
  };
}

async function keepConnecting(
  options: SessionOptions,
  closing: AbortSignal,
  onReady: () => void,
): Promise<void> {
  let retryMs = MIN_RETRY_MS;
  while (!closing.aborted) {
    const connected = await connectOnce(options, closing, onReady);
    if (closing.aborted) return;
    retryMs = connected ? MIN_RETRY_MS : Math.min(2 * retryMs, MAX_RETRY_MS);
    await pause(retryMs, closing);
  }
}

/** One connection from beginning to end; false if it could not be set up. */
async function connectOnce(
  options: SessionOptions,
  closing: AbortSignal,
  onReady: () => void,
): Promise<boolean> {
  const client = new Client({
    connectionString: options.connectionString,
    application_name: options.applicationName,
    connectionTimeoutMillis: ANSWER_MS,
    query_timeout: ANSWER_MS,
    keepAlive: true,
  });
  const over = AbortSignal.any([closing, lossOf(client)]);
  let connected = false;
  try {
    await client.connect();
    await pinSession(client, options.connectionString);
    await options.onConnect(client);
    connected = true;
    onReady();
    while (!over.aborted) {
      await pause(options.probeMs, over);
      if (!over.aborted) await options.probe(client);
    }
  } catch (error) {
    if (!closing.aborted) options.log.warn({ err: error }, `${options.applicationName}: connection failed`);
  }
  const ended = client.end().catch(() => undefined);
  // A dead connection does not answer the farewell.
  if (closing.aborted) await ended;
  return connected;
}

function lossOf(client: Client): AbortSignal {
  const lost = new AbortController();
  client.on('error', () => lost.abort());
  client.on('end', () => lost.abort());
  return lost.signal;
}

function pause(ms: number, signal: AbortSignal): Promise<void> {
  return delay(ms, undefined, { signal }).catch(() => undefined);
}
