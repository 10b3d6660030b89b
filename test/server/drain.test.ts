import { once } from 'node:events';
import { connect } from 'node:net';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { WebSocket } from 'ws';
import type { Database } from '../../src/db/client.ts';
import { createTestDatabase } from '../helpers/database.ts';
import { insertRunningRun } from '../helpers/fixtures.ts';
import { modelRunId, RUN_EVENTS, startTestApi, type TestApi, wsClient } from './edge.ts';

/** As urql sends every request. */
const URQL =
  'application/graphql-response+json, application/graphql+json, application/json, text/event-stream, multipart/mixed';
const GENERATE = 'mutation { generateDataset(input: { people: 1 }) { __typename } }';
/** Far above what is asserted. */
const TIMEOUT_MS = 30_000;

let database: Database;
let api: TestApi;

beforeAll(async () => {
  database = await createTestDatabase();
});
beforeEach(async () => {
  api = await startTestApi(database);
});
afterEach(() => api.stop());
afterAll(() => database.close());

/** Makes a mutation wait, until `release`. */
async function holdDatasets() {
  const client = await database.pool.connect();
  await client.query('begin; lock table datasets in access exclusive mode');
  return {
    async untilWaiting() {
      const waiting = `select from pg_locks where not granted and relation = 'datasets'::regclass`;
      while ((await database.pool.query(waiting)).rowCount === 0);
    },
    async release() {
      await client.query('rollback');
      client.release();
    },
  };
}

describe('a shutdown', () => {
  it('waits for a mutation, whatever its client accepts beside JSON', async () => {
    const lock = await holdDatasets();
    const answer = fetch(api.endpoint, {
      method: 'POST',
      headers: { 'content-type': 'application/json', accept: URQL },
      body: JSON.stringify({ query: GENERATE }),
    });
    await lock.untilWaiting();
    const closed = api.close(TIMEOUT_MS);
    await lock.release();
    const response = await answer;
    expect(response.status).toBe(200);
    expect(await response.json()).toEqual({
      data: { generateDataset: { __typename: 'GenerateDatasetSuccess' } },
    });
    await closed;
  });

  it('waits for a mutation over WebSocket, and closes the socket behind its answer', async () => {
    const lock = await holdDatasets();
    const client = wsClient(api);
    const closedWith = new Promise<number>((resolve) =>
      client.on('closed', (event) => resolve((event as CloseEvent).code)),
    );
    const answer = client.iterate({ query: GENERATE }).next();
    await lock.untilWaiting();
    const closed = api.close(TIMEOUT_MS);
    await lock.release();
    expect((await answer).value).toEqual({
      data: { generateDataset: { __typename: 'GenerateDatasetSuccess' } },
    });
    expect(await closedWith).toBe(1001);
    await closed;
  });

  it('does not wait for an upload that does not arrive, and says so', async () => {
    const { hostname, port } = new URL(api.url);
    const socket = connect(Number(port), hostname);
    const head =
      'POST /graphql HTTP/1.1\r\nHost: localhost\r\nContent-Type: multipart/form-data; boundary=b\r\nContent-Length: 1000000\r\n\r\n--b\r\n';
    let received = '';
    socket.on('data', (part) => {
      received += part;
    });
    const gone = once(socket, 'close');
    socket.write(head);
    await once(socket, 'ready');
    // The request is there when one after it on another connection is answered.
    await (await fetch(`${api.url}/health`)).text();
    const started = performance.now();
    await api.close(TIMEOUT_MS);
    expect(performance.now() - started).toBeLessThan(5000);
    await gone;
    expect(received).toMatch(/^HTTP\/1\.1 503 .*retry-after: 1.*send the request again/is);
  });

  it('does not wait for clients that do not answer, or do not read', async () => {
    const run = await insertRunningRun(database.db);
    const deaf = new WebSocket(api.endpoint.replace('http', 'ws'), 'graphql-transport-ws');
    await once(deaf, 'open');
    const payload = { query: RUN_EVENTS, variables: { id: modelRunId(run.id) } };
    deaf.send(JSON.stringify({ type: 'connection_init' }));
    await once(deaf, 'message');
    deaf.send(JSON.stringify({ id: '1', type: 'subscribe', payload }));
    await once(deaf, 'message');
    deaf.pause();
    const started = performance.now();
    await api.close(TIMEOUT_MS);
    expect(performance.now() - started).toBeLessThan(5000);
    deaf.terminate();
  });
});
