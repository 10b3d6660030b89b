/** The schema on a real Postgres, called as the server calls it; without transport, worker or engine. */

import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type ExecutionResult, parse, subscribe } from 'graphql';
import { expect } from 'vitest';
import { openArtifactStore } from '../../src/db/artifactStore.ts';
import type { Database } from '../../src/db/client.ts';
import { listenForNotifications, type Notifications } from '../../src/db/notifications.ts';
import { followRunChanges } from '../../src/db/runChanges.ts';
import { createRunFeed } from '../../src/db/runFeed.ts';
import type { Scope } from '../../src/db/tables/index.ts';
import { prepareQueue } from '../../src/jobs/queue.ts';
import { type Context, createContext, type Dependencies } from '../../src/schema/context.ts';
import { buildSchema } from '../../src/schema/schema.ts';
import { KeyWatch } from '../../src/server/keyWatch.ts';
import { Turns } from '../../src/server/live/turns.ts';
import { createMaskError } from '../../src/server/maskError.ts';
import { createApi } from '../../src/server/yoga.ts';
import { ImportProcesses } from '../../src/services/importProcess.ts';
import { createTestDatabase } from '../helpers/database.ts';
import { silentLog } from '../helpers/log.ts';

export type Variables = Record<string, unknown>;
// biome-ignore lint/suspicious/noExplicitAny: what a query returns is for its test to say
export type Data = any;

export interface Api {
  database: Database;
  dependencies: Dependencies;
  notifications: Notifications;
  /** Below which `importDataset` may read. */
  importDir: string;
  /** The data of an operation; fails the test on errors. */
  ask(query: string, variables?: Variables): Promise<Data>;
  /** The whole answer of an operation by a caller with these scopes. */
  answer(query: string, variables?: Variables, scopes?: readonly Scope[]): Promise<ExecutionResult<Data>>;
  /** The answer to a request with files, each under the place in the request where it belongs. */
  upload(query: string, variables: Variables, files: Record<string, File>): Promise<ExecutionResult<Data>>;
  /** Events of a subscription; `return` ends it. */
  subscribe(
    query: string,
    variables: Variables,
    scopes?: readonly Scope[],
  ): Promise<AsyncIterableIterator<ExecutionResult<Data>>>;
  close(): Promise<void>;
}

const ALL: readonly Scope[] = ['READ', 'RUN', 'ADMIN'];
const limits = {
  bodyBytes: 1e6,
  uploadBytes: 1e7,
  depth: 12,
  aliases: 30,
  tokens: 2000,
  complexity: 50_000,
  modelBytes: 1e8,
  engineBytes: 1e9,
  queuedRuns: 1000,
};

export async function openApi(overrides: Partial<Dependencies> = {}): Promise<Api> {
  const database = await createTestDatabase();
  const importDir = await mkdtemp(join(tmpdir(), 'alignsae-schema-'));
  await prepareQueue(database.pool, silentLog);
  const notifications = listenForNotifications(database.connectionString, silentLog);
  await notifications.ready;
  const feed = createRunFeed({ db: database.db, notifications, log: silentLog });
  const runChanges = followRunChanges({ db: database.db, notifications, log: silentLog });
  const store = await openArtifactStore(join(importDir, '.store'));
  const engine = { call: refuse, stream: refuse, info: refuse };
  const dependencies: Dependencies = {
    db: database.db,
    store,
    feed,
    runChanges,
    engine,
    importDir,
    imports: new ImportProcesses(silentLog),
    // Where nobody listens.
    hub: { url: 'http://127.0.0.1:9', token: null },
    limits,
    retention: { DAMAGED: null, EVENTS: null, FAILED_RUNS: null, RESULTS: null, AUDIT: null },
    ...overrides,
  };
  const schema = buildSchema();
  const yoga = createApi({
    schema,
    limits: { ...limits, subscriptions: 10 },
    log: silentLog,
    mask: createMaskError(silentLog),
    keys: new KeyWatch(),
    streams: { turns: new Turns(), open: new Set() },
  });
  const contextFor = (scopes: readonly Scope[]): Context =>
    createContext(dependencies, { scopes, clientId: 'test' }, 'test');
  const send = async (init: { headers?: Record<string, string>; body: BodyInit }, scopes = ALL) => {
    const response = await yoga.fetch('http://test/graphql', { method: 'POST', ...init }, contextFor(scopes));
    return (await response.json()) as ExecutionResult<Data>;
  };
  const answer: Api['answer'] = (query, variables = {}, scopes = ALL) =>
    send(
      {
        headers: { 'content-type': 'application/json', accept: 'application/json' },
        body: JSON.stringify({ query, variables }),
      },
      scopes,
    );
  return {
    database,
    dependencies,
    notifications,
    importDir,
    answer,
    async ask(query, variables) {
      const { data, errors } = await answer(query, variables);
      expect(errors).toBeUndefined();
      return data;
    },
    async upload(query, variables, files) {
      const form = new FormData();
      form.append('operations', JSON.stringify({ query, variables }));
      const map = Object.fromEntries(Object.keys(files).map((place) => [place, [place]]));
      form.append('map', JSON.stringify(map));
      for (const [place, file] of Object.entries(files)) form.append(place, file);
      // As bytes, which is what comes over the wire.
      const request = new Request('http://test', { method: 'POST', body: form });
      const headers = { accept: 'application/json', 'content-type': request.headers.get('content-type')! };
      return send({ headers, body: await request.arrayBuffer() });
    },
    async subscribe(query, variables, scopes = ALL) {
      const document = parse(query);
      const contextValue = contextFor(scopes);
      const result = await subscribe({ schema, document, variableValues: variables, contextValue });
      if (Symbol.asyncIterator in result) return result as AsyncIterableIterator<ExecutionResult<Data>>;
      throw result.errors![0]!;
    },
    async close() {
      feed.close();
      runChanges.close();
      await yoga.dispose();
      await notifications.close();
      await database.close();
      await rm(importDir, { recursive: true, force: true });
    },
  };
}

function refuse(): never {
  throw new Error('this test was to do without an engine');
}
