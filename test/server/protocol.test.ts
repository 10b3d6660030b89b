import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { get, type IncomingHttpHeaders } from 'node:http';
import { brotliDecompressSync, gunzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { WebSocket } from 'ws';
import type { Database } from '../../src/db/client.ts';
import { appendLogs, type Claim } from '../../src/db/queries/events.ts';
import { finishRun } from '../../src/db/queries/runs.ts';
import { encodePlace } from '../../src/schema/runChangeCursor.ts';
import { label } from '../../src/services/labels.ts';
import { createTestDatabase } from '../helpers/database.ts';
import { insertRunningRun } from '../helpers/fixtures.ts';
import { modelRunId, post, RUN_EVENTS, sendRaw, startTestApi, type TestApi } from './edge.ts';

const DASHBOARD = 'https://dashboard.example';

let database: Database;
let api: TestApi;
let run: { id: string; claim: Claim };

beforeAll(async () => {
  database = await createTestDatabase();
  const env = { CORS_ORIGINS: DASHBOARD, MAX_BODY_SIZE: '20kb' };
  api = await startTestApi(database, env, { allowAnonymous: true });
  run = await insertRunningRun(database.db);
  await appendLogs(database.db, run.claim, [{ level: 'INFO', message: 'one', at: 0 }]);
});
afterAll(async () => {
  await api.stop();
  await database.close();
});

const send = (body: object, headers: Record<string, string> = {}) =>
  fetch(api.endpoint, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body: JSON.stringify(body),
  });
const subscription = () => ({ query: RUN_EVENTS, variables: { id: modelRunId(run.id) } });
const PERSISTED = { extensions: { persistedQuery: { version: 1, sha256Hash: 'ecf4' } } };

interface Message {
  type: string;
  id?: string;
  // biome-ignore lint/suspicious/noExplicitAny: of many shapes, read by tests that assert them
  payload?: any;
}

/** A socket that speaks the protocol by hand, so that it can send what a client library would not. */
async function openSocket() {
  const ws = new WebSocket(api.endpoint.replace('http', 'ws'), 'graphql-transport-ws');
  const inbox: Message[] = [];
  ws.on('message', (data) => inbox.push(JSON.parse(String(data))));
  await once(ws, 'open');
  const next = async (): Promise<Message> => {
    while (inbox.length === 0) await once(ws, 'message');
    return inbox.shift()!;
  };
  const say = (message: unknown) => ws.send(JSON.stringify(message));
  const subscribe = (id: string, payload: unknown) => say({ id, type: 'subscribe', payload });
  say({ type: 'connection_init' });
  expect((await next()).type).toBe('connection_ack');
  return { ws, say, next, subscribe };
}

describe('an operation that is at fault, over WebSocket', () => {
  it.each<[string, unknown, RegExp]>([
    ['does not parse', { query: '{ runs( ' }, /Syntax Error/],
    ['is not valid', { query: '{ nonsense }' }, /nonsense/],
    ['is too deep', { query: `{ ${'a { '.repeat(40)} b ${'}'.repeat(40)} }` }, /depth|Cannot query/],
    ['is no text', { query: 7 }, /must be the text/],
    ['has no payload', null, /must be an object/],
    ['has odd variables', { query: '{ __typename }', variables: [] }, /variables/],
    ['is a hash', PERSISTED, /PersistedQueryNotSupported/],
    ['names none of two', { query: 'query A { __typename } query B { __typename }' }, /operation/],
    ['fails at once', { query: 'subscription { runEvents(id: "x") { cursor } }' }, /"x"/],
  ])('that %s is told so, and nothing else on the socket', async (_what, payload, message) => {
    const { ws, next, say, subscribe } = await openSocket();
    subscribe('live', subscription());
    expect(await next()).toMatchObject({ id: 'live', type: 'next' });
    subscribe('bad', payload);
    let answer = await next();
    while (answer.id !== 'bad') answer = await next();
    const errors = answer.type === 'error' ? answer.payload : answer.payload.errors;
    expect(errors[0].message).toMatch(message);
    say({ id: 'other', type: 'complete' });
    subscribe('good', { query: '{ __typename }' });
    let good = await next();
    while (good.id !== 'good') good = await next();
    expect(good).toMatchObject({ type: 'next', payload: { data: { __typename: 'Query' } } });
    await appendLogs(database.db, run.claim, [{ level: 'INFO', message: 'more', at: 0 }]);
    let live = await next();
    while (live.id !== 'live') live = await next();
    expect(live.type).toBe('next');
    ws.close();
  });
});

describe('a refusal', () => {
  it('of persisted queries is the one that clients know', async () => {
    const response = await send({ operationName: 'Runs', variables: {}, ...PERSISTED });
    expect(response.status).toBe(200);
    expect((await response.json()).errors[0]).toMatchObject({
      message: 'PersistedQueryNotSupported',
      extensions: { code: 'PERSISTED_QUERY_NOT_SUPPORTED' },
    });
    const query = encodeURIComponent(JSON.stringify(PERSISTED.extensions));
    const got = await fetch(`${api.endpoint}?extensions=${query}`);
    expect((await got.json()).errors[0].extensions.code).toBe('PERSISTED_QUERY_NOT_SUPPORTED');
    const whole = await send({ query: '{ __typename }', ...PERSISTED });
    expect(await whole.json()).toEqual({ data: { __typename: 'Query' } });
  });

  it.each<[string, number, () => Promise<Response>, RegExp]>([
    [
      'of a subscription that is asked for as JSON',
      406,
      () => send(subscription(), { accept: 'application/json' }),
      /text\/event-stream, multipart\/mixed;subscriptionSpec=1.0, or over WebSocket/,
    ],
    [
      'of an answer as a picture',
      406,
      () => send({ query: '{ __typename }' }, { accept: 'image/png' }),
      /"image\/png".*application\/json/,
    ],
    [
      'of XML',
      415,
      () => fetch(api.endpoint, { method: 'POST', body: '<a/>', headers: { 'content-type': 'text/xml' } }),
      /"text\/xml".*application\/json/,
    ],
    ['of another method', 405, () => fetch(api.endpoint, { method: 'PUT', body: '{}' }), /GET and POST/],
    [
      'of a mutation by GET',
      405,
      () => fetch(`${api.endpoint}?query=${encodeURIComponent('mutation { __typename }')}`),
      /POST/,
    ],
    ['of what is no object', 400, () => send([] as never), /./],
    ['of no query', 400, () => send({}, { accept: 'application/graphql-response+json' }), /query/],
    ['of a large body', 413, () => send({ query: 'x'.repeat(30_000) }), /MAX_BODY_SIZE/],
  ])('%s says what is accepted', async (_what, status, ask, message) => {
    const response = await ask();
    expect(response.status).toBe(status);
    expect(response.headers.get('content-type')).toMatch(/json/);
    expect((await response.json()).errors[0].message).toMatch(message);
  });

  it.each([
    ['of bytes that are no HTTP', 'hello\r\n\r\n', /^HTTP\/1\.1 400 .*HTTP\/1\.1/s],
    [
      'of endless headers',
      `GET / HTTP/1.1\r\nx: ${'x'.repeat(40_000)}\r\n\r\n`,
      /^HTTP\/1\.1 431 .*headers/s,
    ],
    [
      'of another protocol',
      'GET / HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n',
      /^HTTP\/1\.1 400 .*websocket at \/graphql/s,
    ],
    [
      'of a WebSocket elsewhere',
      'GET /live HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n',
      /^HTTP\/1\.1 404 .*it is at \/graphql/s,
    ],
  ])('%s says what is accepted', async (_what, text, answer) => {
    expect(await sendRaw(api, text)).toMatch(answer);
  });
});

describe('pages of an allowed origin', () => {
  it('can read refusals, too', async () => {
    const strict = await startTestApi(database, { CORS_ORIGINS: DASHBOARD }, { allowAnonymous: false });
    const unknown = await post(strict, '{ __typename }', {}, { origin: DASHBOARD });
    expect(unknown.status).toBe(401);
    expect(unknown.headers.get('access-control-allow-origin')).toBe(DASHBOARD);
    await strict.stop();
    const large = await send({ query: 'x'.repeat(30_000) }, { origin: DASHBOARD });
    expect(large.status).toBe(413);
    expect(large.headers.get('access-control-allow-origin')).toBe(DASHBOARD);
  });

  it('ask once what they may send', async () => {
    const { status, headers } = await fetch(api.endpoint, {
      method: 'OPTIONS',
      headers: {
        ...{ origin: DASHBOARD, 'access-control-request-method': 'POST' },
        'access-control-request-headers': 'authorization, content-type, x-mine',
      },
    });
    expect(status).toBe(204);
    expect(headers.get('access-control-allow-origin')).toBe(DASHBOARD);
    expect(headers.get('access-control-allow-headers')).toBe('authorization, content-type, x-mine');
    expect(headers.get('access-control-allow-methods')).toContain('POST');
    expect(Number(headers.get('access-control-max-age'))).toBeGreaterThan(600);
  });
});

describe('what is large', () => {
  /** As it comes over the wire, without a client that decodes it. */
  const raw = (path: string, headers: Record<string, string>, method = 'GET') =>
    new Promise<{ status: number; headers: IncomingHttpHeaders; body: Buffer }>((resolve, reject) => {
      get(`${api.url}${path}`, { headers, method }, async (response) => {
        const parts: Buffer[] = [];
        for await (const part of response) parts.push(part as Buffer);
        resolve({
          ...{ status: response.statusCode!, headers: response.headers },
          body: Buffer.concat(parts),
        });
      }).on('error', reject);
    });
  const SCHEMA = `/graphql?query=${encodeURIComponent('{ __schema { types { name description } } }')}`;

  it.each([
    ['br', brotliDecompressSync],
    ['gzip', gunzipSync],
  ])('is sent as %s to clients that can read it', async (encoding, decode) => {
    const plain = await raw(SCHEMA, { accept: 'application/json' });
    expect(plain.headers['content-encoding']).toBeUndefined();
    const packed = await raw(SCHEMA, {
      ...{ accept: 'application/json', 'accept-encoding': `deflate, ${encoding}` },
    });
    expect(packed.headers).toMatchObject({ 'content-encoding': encoding });
    expect(packed.headers.vary).toContain('accept-encoding');
    expect(decode(packed.body)).toEqual(plain.body);
    expect(packed.body.length).toBeLessThan(plain.body.length / 2);
  });

  it('is not sent again to a browser that has the page', async () => {
    const headers = { accept: 'text/html', 'accept-encoding': 'br, gzip' };
    const page = await raw('/graphql', headers);
    expect(page.headers['content-encoding']).toBe('br');
    expect(brotliDecompressSync(page.body).toString()).toContain('AlignSAE');
    const again = await raw('/graphql', { ...headers, 'if-none-match': page.headers.etag! });
    expect([again.status, again.body.length]).toEqual([304, 0]);
  });

  it('is the schema as text, which is not sent again to whoever has it', async () => {
    const plain = await raw('/schema.graphql', {});
    expect(plain.body.toString()).toBe(readFileSync('schema.graphql', 'utf8'));
    for (const [encoding, decode] of [
      ['br', brotliDecompressSync],
      ['gzip', gunzipSync],
    ] as const) {
      const packed = await raw('/schema.graphql', { 'accept-encoding': encoding, origin: DASHBOARD });
      expect(packed.headers).toMatchObject({
        'content-encoding': encoding,
        'cache-control': 'no-cache',
        vary: 'origin, accept-encoding',
      });
      expect(packed.headers['access-control-allow-origin']).toBe(DASHBOARD);
      expect(decode(packed.body)).toEqual(plain.body);
    }
    const again = await raw('/schema.graphql', { 'if-none-match': plain.headers.etag! });
    expect([again.status, again.body.length]).toEqual([304, 0]);
    expect((await raw('/schema.graphql', {}, 'PUT')).headers.allow).toBe('GET, HEAD');
  });

  it('can be asked for by HEAD, at every address', async () => {
    for (const path of ['/health', '/ready', SCHEMA, '/schema.graphql']) {
      const head = await raw(path, { accept: 'application/json' }, 'HEAD');
      expect([path, head.status, head.body.length]).toEqual([path, 200, 0]);
    }
  });
});

describe('a stream over HTTP', () => {
  const read = async (response: Response) => {
    let text = '';
    for await (const part of response.body!.pipeThrough(new TextDecoderStream())) {
      text += part;
      if (text.includes('END')) break;
    }
    return text;
  };
  const BY_CURSOR =
    'subscription ($id: ID!, $after: String) { runEvents(id: $id, after: $after) { cursor event { ... on RunLogged { message } } } }';

  it('passes through proxies that collect answers', async () => {
    const response = await send(subscription(), { accept: 'text/event-stream' });
    expect(response.headers.get('x-accel-buffering')).toBe('no');
    expect(response.headers.get('cache-control')).toMatch(/no-cache.*no-transform/);
    await response.body!.cancel();
    const failed = await send(
      { query: 'subscription { runEvents(id: "x") { cursor } }' },
      { accept: 'text/event-stream' },
    );
    expect(failed.headers.get('x-accel-buffering')).toBe('no');
    expect(await failed.text()).toContain('"x\\"');
  });

  it('names each event by its cursor, and goes on behind the one that a browser saw last', async () => {
    const { id, claim } = await insertRunningRun(database.db);
    const log = (...messages: string[]) =>
      appendLogs(
        database.db,
        claim,
        messages.map((message) => ({ level: 'INFO' as const, message, at: 0 })),
      );
    await log('a', 'b', 'END');
    const query = new URLSearchParams({
      query: BY_CURSOR,
      variables: JSON.stringify({ id: modelRunId(id) }),
    });
    const url = `${api.endpoint}?${query}`;
    const first = await read(await fetch(url, { headers: { accept: 'text/event-stream' } }));
    const ids = [...first.matchAll(/^id: (.+)$/gm)].map(([, cursor]) => cursor!);
    const cursors = [...first.matchAll(/"cursor":"([^"]+)"/g)].map(([, cursor]) => cursor!);
    expect(ids).toEqual(cursors);
    const seen = ids[first.split('\n\n').findIndex((part) => part.includes('"b"')) - 1]!;
    const again = await read(
      await fetch(url, { headers: { accept: 'text/event-stream', 'last-event-id': seen } }),
    );
    expect([...again.matchAll(/"message":"([^"]+)"/g)].map(([, message]) => message)).toEqual(['END']);
  });

  it('goes on behind a cursor of any length that is given out, such as one that names many transactions', async () => {
    const { id } = await insertRunningRun(database.db);
    const { rows } = await database.pool.query<{ next: string }>(
      'select pg_snapshot_xmax(pg_current_snapshot())::text as next',
    );
    const next = Number(rows[0]!.next);
    // As if every second of the last transactions had been open: what they changed was not seen.
    const open = Array.from({ length: 300 }, (_, i) => next - 600 + 2 * i);
    const cursor = encodePlace({ seen: `${open[0]}:${next}:${open.join(',')}`, within: null });
    expect(cursor.length).toBeGreaterThan(500);
    await label(database.db, 'Run', id, { name: 'renamed' });
    const query = new URLSearchParams({ query: 'subscription { runsChanged { cursor id run { name } } }' });
    const response = await fetch(`${api.endpoint}?${query}`, {
      headers: { accept: 'text/event-stream', 'last-event-id': cursor },
    });
    let text = '';
    for await (const chunk of response.body!.pipeThrough(new TextDecoderStream())) {
      text += chunk;
      if (/renamed|errors/.test(text)) break;
    }
    expect(text).toContain('"name":"renamed"');
  });

  it('is one of parts for clients that ask for Apollo’s multipart protocol', async () => {
    const { id, claim } = await insertRunningRun(database.db);
    const accept = 'multipart/mixed;boundary=graphql;subscriptionSpec=1.0,application/json';
    const response = await send({ query: BY_CURSOR, variables: { id: modelRunId(id) } }, { accept });
    expect(response.headers.get('content-type')).toBe(
      'multipart/mixed;boundary="graphql";subscriptionSpec=1.0',
    );
    await appendLogs(database.db, claim, [{ level: 'INFO', message: 'one', at: 0 }]);
    await finishRun(database.db, claim, {});
    const text = await response.text();
    expect(text).toMatch(/\r\n--graphql--\r\n$/);
    const parts = text.split('\r\n--graphql').filter((part) => part.includes('{'));
    const bodies = parts.map((part) => JSON.parse(part.split('\r\n\r\n')[1]!));
    expect(bodies.length).toBeGreaterThan(1);
    for (const { payload } of bodies) expect(payload.data.runEvents.cursor).toMatch(/./);
    for (const part of parts) expect(part).toContain('\r\nContent-Type: application/json\r\n\r\n');
  });
});
