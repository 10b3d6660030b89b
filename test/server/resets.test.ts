import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Database } from '../../src/db/client.ts';
import { appendMetrics } from '../../src/db/queries/events.ts';
import { createTestDatabase } from '../helpers/database.ts';
import { insertRunningRun } from '../helpers/fixtures.ts';
import { modelRunId, RUN_EVENTS, startTestApi, type TestApi } from './edge.ts';

let database: Database;
let api: TestApi;
let runId: string;

beforeAll(async () => {
  database = await createTestDatabase();
  api = await startTestApi(database);
  const run = await insertRunningRun(database.db);
  runId = modelRunId(run.id);
  const rows = Array.from({ length: 20_000 }, (_, i) => ({ step: i + 1, at: 0, values: { loss: i } }));
  await appendMetrics(database.db, run.claim, rows);
});
afterAll(async () => {
  await api.stop();
  // What was asked by connections that are gone may still be read.
  while (database.pool.totalCount !== database.pool.idleCount) await once(database.pool, 'release');
  await database.close();
});

const request = (line: string, headers: Record<string, string | number>, body = '') =>
  [
    `${line} HTTP/1.1`,
    'Host: localhost',
    ...Object.entries(headers).map(([name, value]) => `${name}: ${value}`),
    '',
    body,
  ].join('\r\n');
const upgrade = (path: string, headers: Record<string, string> = {}) =>
  request(`GET ${path}`, {
    ...{ Connection: 'Upgrade', Upgrade: 'websocket', 'Sec-WebSocket-Version': 13 },
    ...{ 'Sec-WebSocket-Key': 'dGhlIHNhbXBsZSBub25jZQ==', ...headers },
  });
const post = (headers: Record<string, string | number>, body: string) =>
  request('POST /graphql', { 'Content-Type': 'application/json', ...headers }, body);
const operation = (query: string) => JSON.stringify({ query, variables: { id: runId } });
const form = [
  '--b\r\nContent-Disposition: form-data; name="operations"\r\n\r\n',
  JSON.stringify({ query: '{ __typename }' }),
  '\r\n--b\r\nContent-Disposition: form-data; name="0"; filename="f"\r\n\r\nhalf of it',
].join('');

/** What is sent before the connection is reset, and whether the server has answered something by then. */
const STAGES: Record<string, () => { text: string; isAnswered: boolean }> = {
  'before a byte': () => ({ text: '', isAnswered: false }),
  'in the first line': () => ({ text: 'POST /gra', isAnswered: false }),
  'after an upgrade at an unknown path': () => ({ text: upgrade('/live'), isAnswered: false }),
  'after an upgrade from a foreign page': () => ({
    text: upgrade('/graphql', { Origin: 'http://elsewhere.example' }),
    isAnswered: false,
  }),
  'after an upgrade to HTTP/2': () => ({ text: upgrade('/', { Upgrade: 'h2c' }), isAnswered: false }),
  'after an upgrade with a bad key': () => ({
    text: upgrade('/graphql', { 'Sec-WebSocket-Key': 'x' }),
    isAnswered: false,
  }),
  'after an upgrade': () => ({ text: upgrade('/graphql'), isAnswered: false }),
  'on an open WebSocket': () => ({
    text: upgrade('/graphql', { 'Sec-WebSocket-Protocol': 'graphql-transport-ws' }),
    isAnswered: true,
  }),
  'after bytes that are no request': () => ({ text: '\x16\x03\x01\x02\0\x01\r\n\r\n', isAnswered: false }),
  'in a body': () => ({ text: post({ 'Content-Length': 1000 }, '{"query"'), isAnswered: false }),
  'in a chunked body': () => ({
    text: post({ 'Transfer-Encoding': 'chunked' }, '8\r\n{"query"\r\n'),
    isAnswered: false,
  }),
  'in a body that is too large': () => ({
    text: post({ 'Content-Length': 1e9 }, 'x'.repeat(1000)),
    isAnswered: false,
  }),
  'in an upload': () => ({
    text: post({ 'Content-Type': 'multipart/form-data; boundary=b', 'Content-Length': 10_000 }, form),
    isAnswered: false,
  }),
  'before an answer': () => {
    const body = operation('query ($id: ID!) { run(id: $id) { metrics { points { step } } } }');
    return { text: post({ 'Content-Length': body.length }, body), isAnswered: false };
  },
  'in a stream of events': () => {
    const body = operation(RUN_EVENTS);
    return {
      text: post({ Accept: 'text/event-stream', 'Content-Length': body.length }, body),
      isAnswered: true,
    };
  },
  'in an export': () => ({
    text: request(`GET /export/runs/${encodeURIComponent(runId)}/metrics.jsonl`, {}),
    isAnswered: true,
  }),
};

async function sendAndReset(text: string, isAnswered: boolean): Promise<void> {
  const { hostname, port } = new URL(api.url);
  const socket: Socket = connect(Number(port), hostname);
  socket.on('error', () => undefined);
  await once(socket, 'connect');
  if (text) await new Promise((resolve) => socket.write(text, resolve));
  if (isAnswered) await once(socket, 'data');
  socket.resetAndDestroy();
}

describe('a client that resets its connection', () => {
  // A stream's error that nobody listens to would end this process, and with it the test.
  it.each(Object.keys(STAGES))('%s does no harm', async (stage) => {
    for (let i = 0; i < 30; i++) {
      const { text, isAnswered } = STAGES[stage]!();
      await sendAndReset(text, isAnswered);
    }
    const health = await fetch(`${api.url}/health`);
    expect(health.status).toBe(200);
  });
});
