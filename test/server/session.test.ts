import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { WebSocket } from 'ws';
import type { Database } from '../../src/db/client.ts';
import { createApiKey, revokeApiKey } from '../../src/services/apiKey.ts';
import { createTestDatabase } from '../helpers/database.ts';
import { insertQueuedRun } from '../helpers/fixtures.ts';
import { modelRunId, startTestApi, type TestApi } from './edge.ts';
import { readRaw } from './raw.ts';

let database: Database;
let api: TestApi;
let key: string;
let keyId: string;

/** Whose pages may call, though not with this server's cookie. */
const FRIEND = 'http://127.0.0.1:5173';

beforeAll(async () => {
  database = await createTestDatabase();
  api = await startTestApi(database, { CORS_ORIGINS: FRIEND }, { allowAnonymous: false });
  const made = await createApiKey(database.db, { name: 'page', scopes: ['READ', 'RUN'] });
  [key, keyId] = [made.key, made.apiKey.id];
});
afterAll(async () => {
  await api.stop();
  await database.close();
});

const login = (body: string, headers: Record<string, string> = {}) =>
  readRaw(`${api.url}/app/session`, {
    method: 'POST',
    headers: { origin: api.url, 'content-type': 'application/json', ...headers },
    body,
  });
const cookie = async () => (await login(JSON.stringify({ key }))).headers['set-cookie']![0]!.split(';')[0]!;
const ask = async (headers: Record<string, string>, sent?: string) =>
  (
    await readRaw(api.endpoint, {
      method: 'POST',
      headers: { 'content-type': 'application/json', cookie: sent ?? (await cookie()), ...headers },
      body: '{"query":"{ runs(first: 1) { totalCount } }"}',
    })
  ).status;

describe('logging in', () => {
  it('turns a key into a cookie that no script reads and no other site sends', async () => {
    const { status, headers } = await login(JSON.stringify({ key }));
    expect(status).toBe(204);
    expect(headers['set-cookie']).toEqual([
      `alignsae_key=${encodeURIComponent(key)}; Path=/; HttpOnly; SameSite=Strict`,
    ]);
  });

  it('is never sent in the clear by a browser that came over TLS', async () => {
    const { host } = new URL(api.url);
    const { headers } = await login(JSON.stringify({ key }), { origin: `https://${host}` });
    expect(headers['set-cookie']![0]).toMatch(/; Secure$/);
  });

  it.each([
    ['an unknown key', '{"key":"nobody-has-this"}', {}, 401],
    ['no key', '{}', {}, 400],
    ['no JSON', 'key=1', {}, 400],
    ['a form', '{"key":"x"}', { 'content-type': 'text/plain' }, 400],
    ['too much', JSON.stringify({ key: 'x'.repeat(5000) }), {}, 400],
    ['a page of another origin', '{"key":"x"}', { origin: FRIEND }, 403],
  ])('refuses %s', async (_what, body, headers, status) => {
    const answer = await login(body, headers as Record<string, string>);
    expect(answer.status).toBe(status);
    expect(answer.headers['set-cookie']).toBeUndefined();
  });

  it('takes the cookie away again', async () => {
    const { headers } = await readRaw(`${api.url}/app/session`, {
      method: 'DELETE',
      headers: { origin: api.url },
    });
    expect(headers['set-cookie']![0]).toMatch(/^alignsae_key=; .*Max-Age=0$/);
  });
});

describe('the cookie', () => {
  it('counts for queries of our own pages alone', async () => {
    expect(await ask({ origin: api.url })).toBe(200);
    // Same site to a browser, and allowed to call, but not as whoever is logged in here.
    expect(await ask({ origin: FRIEND })).toBe(401);
    expect(await ask({})).toBe(401);
  });

  it('counts for exports, unless the browser says that another page asks', async () => {
    const run = await insertQueuedRun(database.db);
    const url = `${api.url}/export/runs/${modelRunId(run.id)}/metrics.csv`;
    const read = async (headers: Record<string, string>) =>
      (await readRaw(url, { headers: { cookie: await cookie(), ...headers } })).status;
    expect(await read({ 'sec-fetch-site': 'same-origin' })).toBe(200);
    expect(await read({ 'sec-fetch-site': 'same-site' })).toBe(401);
    expect(await read({ origin: FRIEND })).toBe(401);
  });

  it('counts for sockets of our own pages alone', async () => {
    expect(await shake(api.url)).toBe('connection_ack');
    expect(await shake(FRIEND)).toBe(4401);
  });

  it('ends with its key', async () => {
    const old = await cookie();
    expect(await ask({ origin: api.url }, old)).toBe(200);
    await revokeApiKey(database.db, keyId);
    expect(await ask({ origin: api.url }, old)).toBe(401);
  });
});

/** The type of the first message, or the code with which the socket was closed. */
async function shake(origin: string): Promise<string | number> {
  const headers = { cookie: await cookie() };
  const socket = new WebSocket(api.endpoint.replace('http', 'ws'), 'graphql-transport-ws', {
    origin,
    headers,
  });
  const result = await new Promise<string | number>((resolve, reject) => {
    socket.once('error', reject);
    socket.once('open', () => socket.send('{"type":"connection_init"}'));
    socket.once('message', (data) => resolve(JSON.parse(String(data)).type));
    socket.once('close', resolve);
  });
  socket.close();
  return result;
}
