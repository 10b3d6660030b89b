import { once } from 'node:events';
import { pino } from 'pino';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { WebSocket } from 'ws';
import type { Database } from '../../src/db/client.ts';
import { appendMetrics } from '../../src/db/queries/events.ts';
import { createTestDatabase } from '../helpers/database.ts';
import { insertRunningRun } from '../helpers/fixtures.ts';
import { modelRunId, post, startTestApi, type TestApi } from './edge.ts';

const OPERATIONS = 50;

let database: Database;
let api: TestApi;
let id: string;
/** Names of the operations that were answered. */
const answered: string[] = [];

beforeAll(async () => {
  database = await createTestDatabase();
  const log = pino(
    { level: 'info' },
    { write: (line) => void answered.push((JSON.parse(line) as { name: string }).name) },
  );
  api = await startTestApi(database, {}, { log });
  const run = await insertRunningRun(database.db);
  id = modelRunId(run.id);
  const rows = Array.from({ length: 10_000 }, (_, i) => ({
    step: i + 1,
    at: i,
    values: { loss: 1 / (i + 1) },
  }));
  await appendMetrics(database.db, run.claim, rows);
});
afterAll(async () => {
  await api.stop();
  await database.close();
});

/** About a megabyte. */
const curve = (name: string) =>
  `query ${name} ($id: ID!) { run(id: $id) { metrics(names: ["loss"], maxPoints: 10000) { points { step value at } } } }`;

it('answers of one socket that nobody reads are made no further than its bound, and none is lost', async () => {
  const ws = new WebSocket(api.endpoint.replace('http', 'ws'), 'graphql-transport-ws');
  await once(ws, 'open');
  ws.send(JSON.stringify({ type: 'connection_init' }));
  await once(ws, 'message');
  const complete = new Set<string>();
  const all = new Promise<void>((resolve) =>
    ws.on('message', (data) => {
      const { type, id: operation } = JSON.parse(String(data)) as { type: string; id: string };
      if (type === 'complete') complete.add(operation);
      if (complete.size === OPERATIONS) resolve();
    }),
  );
  ws.pause();
  const payload = { query: curve('Deaf'), variables: { id } };
  for (let i = 0; i < OPERATIONS; i++) ws.send(JSON.stringify({ id: `${i}`, type: 'subscribe', payload }));
  // Others are answered meanwhile, until no more of the socket's are.
  const count = () => answered.filter((name) => name === 'Deaf').length;
  let ahead: number;
  do {
    ahead = count();
    for (let i = 0; i < 3; i++) await post(api, curve('Other'), { id });
  } while (ahead === 0 || count() > ahead);
  // 8 MB and what the kernel holds.
  expect(ahead).toBeLessThan(OPERATIONS - 10);
  ws.resume();
  await all;
  ws.close();
});
