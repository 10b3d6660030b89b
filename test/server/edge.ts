/** An API server of one's own over a test database, with clients for its transports. */

import { connect } from 'node:net';
import { createClient } from 'graphql-ws';
import { WebSocket } from 'ws';
import { readConfig } from '../../src/config.ts';
import type { Database } from '../../src/db/client.ts';
import { listenForNotifications } from '../../src/db/notifications.ts';
import { followRunChanges } from '../../src/db/runChanges.ts';
import { createRunFeed } from '../../src/db/runFeed.ts';
import { EngineCalls } from '../../src/jobs/calls.ts';
import { prepareQueue } from '../../src/jobs/queue.ts';
import { createContext, type Dependencies } from '../../src/schema/context.ts';
import { encodeGlobalId } from '../../src/schema/ids.ts';
import { buildSchema } from '../../src/schema/schema.ts';
import { createAuthenticate } from '../../src/server/auth.ts';
import { type ApiServer, startApiServer } from '../../src/server/http.ts';
import { KeyWatch } from '../../src/server/keyWatch.ts';
import { followKeys, verifyApiKey } from '../../src/services/apiKey.ts';
import { ImportProcesses } from '../../src/services/importProcess.ts';
import { silentLog } from '../helpers/log.ts';

export interface TestApi extends ApiServer {
  endpoint: string;
  stop(): Promise<void>;
}

/** Starts one replica; `env` as for the real server. */
export async function startTestApi(
  database: Database,
  env: Record<string, string> = {},
  options: {
    allowAnonymous?: boolean;
    log?: typeof silentLog;
    /** With these it can do engine work; the caller stops the engine. */
    work?: Pick<Dependencies, 'engine' | 'store'>;
  } = {},
): Promise<TestApi> {
  const config = readConfig({ PORT: '0', ...env });
  const log = options.log ?? silentLog;
  const notifications = listenForNotifications(database.connectionString, log);
  await notifications.ready;
  await prepareQueue(database.pool, log);
  const feed = createRunFeed({ db: database.db, notifications, log });
  const runChanges = followRunChanges({ db: database.db, notifications, log });
  const engine = new EngineCalls({
    backend: 'wasm',
    native: { available: false, reason: 'not needed' },
    log,
  });
  const dependencies = {
    imports: new ImportProcesses(log),
    ...{
      db: database.db,
      feed,
      runChanges,
      importDir: config.importDir,
      hub: config.hub,
      limits: config.limits,
      retention: config.retention.ages,
    },
    ...(options.work ?? { engine, store: null as never }),
  };
  const keys = new KeyWatch();
  const unfollow = followKeys(database.db, notifications, keys);
  const server = await startApiServer({
    config,
    schema: buildSchema(),
    log,
    authenticate: createAuthenticate({
      allowAnonymous: options.allowAnonymous ?? true,
      verifyKey: (key) => verifyApiKey(database.db, key),
    }),
    keys,
    createContext: (viewer, requestId, lastEventId) =>
      createContext(dependencies, viewer, requestId, lastEventId),
    checkReady: async () => void (await database.pool.query('select 1')),
  });
  return {
    ...server,
    endpoint: `${server.url}/graphql`,
    async stop() {
      await server.close(1000);
      unfollow();
      feed.close();
      runChanges.close();
      await engine.stop();
      await notifications.close();
    },
  };
}

export interface Answer {
  status: number;
  // biome-ignore lint/suspicious/noExplicitAny: answers of many shapes, read by tests that assert them
  body: any;
  headers: Headers;
}

export async function post(
  api: { endpoint: string },
  query: string,
  variables: Record<string, unknown> = {},
  headers: Record<string, string> = {},
): Promise<Answer> {
  const response = await fetch(api.endpoint, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body: JSON.stringify({ query, variables }),
  });
  return { status: response.status, body: await response.json(), headers: response.headers };
}

export const RUN_EVENTS = /* GraphQL */ `
  subscription ($id: ID!, $after: String) {
    runEvents(id: $id, after: $after) {
      cursor
      event {
        __typename
        ... on RunStatusChanged { status }
        ... on MetricsLogged { step metrics { name value } }
      }
    }
  }
`;

export interface RunEventItem {
  cursor: string;
  event: { __typename: string; status?: string; step?: number };
}

export const modelRunId = (id: string) => encodeGlobalId('ModelRun', id);

export function wsClient(api: { endpoint: string }, connectionParams?: Record<string, unknown>) {
  return createClient({
    url: api.endpoint.replace('http', 'ws'),
    webSocketImpl: WebSocket,
    connectionParams,
    retryAttempts: 0,
  });
}

/** Results of a subscription over graphql-ws until the server completes them: its one field, of `RUN_EVENTS` by default. */
export async function* overWebSocket<Item = RunEventItem>(
  api: { endpoint: string },
  variables: Record<string, unknown>,
  query = RUN_EVENTS,
): AsyncGenerator<Item> {
  const client = wsClient(api);
  try {
    for await (const { data, errors } of client.iterate<Record<string, Item>>({ query, variables })) {
      if (errors) throw errors[0];
      yield Object.values(data!)[0]!;
    }
  } finally {
    await client.dispose();
  }
}

/** The same over SSE; throws when the stream breaks off before. */
export async function* overSse<Item = RunEventItem>(
  api: { endpoint: string },
  variables: Record<string, unknown>,
  query = RUN_EVENTS,
): AsyncGenerator<Item> {
  const abort = new AbortController();
  const response = await fetch(api.endpoint, {
    method: 'POST',
    headers: { 'content-type': 'application/json', accept: 'text/event-stream' },
    body: JSON.stringify({ query, variables }),
    signal: abort.signal,
  });
  let text = '';
  try {
    for await (const chunk of response.body!.pipeThrough(new TextDecoderStream())) {
      text += chunk;
      for (let end = text.indexOf('\n\n'); end >= 0; end = text.indexOf('\n\n')) {
        const message = text.slice(0, end);
        text = text.slice(end + 2);
        if (/^event: complete/m.test(message)) return;
        const data = /^data: (.+)$/m.exec(message)?.[1];
        if (!data) continue;
        const result = JSON.parse(data) as { data: Record<string, Item>; errors?: unknown[] };
        if (result.errors) throw result.errors[0];
        yield Object.values(result.data)[0]!;
      }
    }
    throw new Error('the stream broke off');
  } finally {
    abort.abort();
  }
}

/** Sends bytes as they are and returns all that comes back until the server closes. */
export function sendRaw(api: ApiServer, text: string): Promise<string> {
  const { hostname, port } = new URL(api.url);
  return new Promise((resolve, reject) => {
    let received = '';
    const socket = connect(Number(port), hostname, () => socket.write(text));
    socket.on('data', (chunk) => {
      received += chunk;
    });
    socket.on('close', () => resolve(received));
    socket.on('error', (error: NodeJS.ErrnoException) => (received ? resolve(received) : reject(error)));
  });
}
