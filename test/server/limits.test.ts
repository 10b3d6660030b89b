import { randomUUID } from 'node:crypto';
import { pino } from 'pino';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Database } from '../../src/db/client.ts';
import { ontologies } from '../../src/db/tables/index.ts';
import { createTestDatabase } from '../helpers/database.ts';
import { modelRunId, post, sendRaw, startTestApi, type TestApi } from './edge.ts';

let database: Database;
let api: TestApi;

beforeAll(async () => {
  database = await createTestDatabase();
  api = await startTestApi(database, {
    MAX_QUERY_DEPTH: '8',
    MAX_QUERY_ALIASES: '5',
    MAX_QUERY_TOKENS: '300',
    MAX_QUERY_COMPLEXITY: '2000',
    MAX_BODY_SIZE: '20kb',
    MAX_UPLOAD_SIZE: '40kb',
  });
});

afterAll(async () => {
  await api.stop();
  await database.close();
});

describe('limits of an operation', () => {
  it('lets an ordinary query through', async () => {
    const { status, body } = await post(
      api,
      '{ ontologies(first: 5) { totalCount edges { node { slug } } } }',
    );
    expect(status).toBe(200);
    expect(body).toEqual({ data: { ontologies: { totalCount: 0, edges: [] } } });
  });

  it('refuses a deeply nested query', async () => {
    const nest = (n: number): string =>
      n === 0 ? 'slug' : `datasets(first: 1) { edges { node { ontology { ${nest(n - 1)} } } } }`;
    const { body } = await post(api, `{ ontologies(first: 1) { edges { node { ${nest(4)} } } } }`);
    expect(body.data).toBeUndefined();
    expect(body.errors[0].message).toMatch(/depth limit of 8 exceeded/i);
  });

  it('refuses an alias bomb', async () => {
    const bomb = Array.from({ length: 6 }, (_, i) => `a${i}: ontologies { totalCount }`).join(' ');
    const { body } = await post(api, `{ ${bomb} }`);
    expect(body.data).toBeUndefined();
    expect(body.errors[0].message).toMatch(/aliases limit of 5 exceeded/i);
  });

  it('refuses a document of too many tokens', async () => {
    const { body } = await post(api, `{ ${'__typename '.repeat(301)} }`);
    expect(body.data).toBeUndefined();
    expect(body.errors[0].message).toMatch(/token limit of 300 exceeded/i);
  });

  it('refuses what would return too much, with both numbers', async () => {
    const wide =
      '{ ontologies(first: 100) { edges { node { concepts { key } datasets(first: 100) { edges { node { id } } } } } } }';
    const { body } = await post(api, wide);
    expect(body.data ?? null).toBeNull();
    expect(body.errors[0].extensions.code).toBe('LIMIT_EXCEEDED');
    expect(body.errors[0].message).toMatch(/complexity is \d+; accepted is at most 2000/);
  });
});

describe('an operation that is asked again and again', () => {
  beforeAll(async () => {
    await database.db.insert(ontologies).values([
      { slug: 'first', version: 1, name: 'First' },
      { slug: 'second', version: 1, name: 'Second' },
    ]);
  });

  it.each<[string, string, Record<string, unknown>[]]>([
    [
      'directives and fragments',
      'query ($on: Boolean!) { ontologies { totalCount @include(if: $on) edges { node { ...O } } } } fragment O on Ontology { __typename slug @skip(if: $on) concepts { key } }',
      [{ on: true }, { on: false }],
    ],
    [
      'fragments that are left out in one place',
      'query ($on: Boolean!) { a: ontologies { edges { node { ...O @include(if: $on) id } } } b: ontologies { edges { node { ...O } } } } fragment O on Ontology { slug name @skip(if: $on) }',
      [{ on: true }, { on: false }],
    ],
    [
      'an id that is none',
      'query ($id: ID!) { node(id: $id) { id ... on Dataset { name } } }',
      [{ id: 'x' }],
    ],
    [
      'an error within a list',
      '{ ontologies(first: 2) {\n edges { node { datasets(first: 501) { __typename } } } } }',
      [{}],
    ],
    [
      'null where nothing is',
      'query ($id: ID!) { run(id: $id) { status } }',
      [{ id: modelRunId(randomUUID()) }],
    ],
    [
      'variables that are refused',
      'query ($n: Int!) { ontologies(first: $n) { totalCount } }',
      [{ n: 'two' }, { n: 1.5 }, {}, { n: 2 }],
    ],
    [
      'what would return too much',
      `{ ontologies(first: 500) { edges { node { ${'concepts { key } '.repeat(9)} } } } }`,
      [{}],
    ],
  ])('answers the same to each: %s', async (_, query, variables) => {
    const round = () => Promise.all(variables.map(async (own) => (await post(api, query, own)).body));
    const first = await round();
    for (let times = 0; times < 4; times += 1) expect(await round()).toEqual(first);
  });
});

describe('limits of a request', () => {
  it('refuses an announced body that is too large', async () => {
    const { status, body } = await post(api, `{ __typename } #${'x'.repeat(21 * 1024)}`);
    expect(status).toBe(413);
    expect(body.errors[0].message).toMatch(/may have 20480 bytes \(MAX_BODY_SIZE\), got \d+\./);
  });

  it('refuses a chunked body as soon as it is too large', async () => {
    const chunk = `${(1024).toString(16)}\r\n${'x'.repeat(1024)}\r\n`;
    const head = `POST /graphql HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n`;
    expect(await sendRaw(api, head + chunk.repeat(24))).toMatch(/^HTTP\/1\.1 413 .*MAX_BODY_SIZE/s);
  });

  it('gives uploads a limit of their own', async () => {
    const send = async (bytes: number) => {
      const form = new FormData();
      form.set('operations', JSON.stringify({ query: '{ __typename }' }));
      form.set('map', JSON.stringify({ 0: ['variables.file'] }));
      form.set('0', new Blob(['x'.repeat(bytes)]));
      return (await fetch(api.endpoint, { method: 'POST', body: form })).status;
    };
    expect(await send(30 * 1024)).toBe(200);
    expect(await send(40 * 1024)).toBe(200);
    expect(await send(40 * 1024 + 1)).toBe(413);
    expect(await send(100 * 1024)).toBe(413);
  });

  it('takes all of the 64 MB that an upload may have unless told otherwise', async () => {
    const usual = await startTestApi(database);
    const form = new FormData();
    form.set('operations', JSON.stringify({ query: '{ __typename }' }));
    form.set('map', JSON.stringify({ 0: ['variables.file'] }));
    form.set('0', new Blob([new Uint8Array(64 * 1024 ** 2)]));
    const response = await fetch(usual.endpoint, { method: 'POST', body: form });
    expect(await response.json()).toEqual({ data: { __typename: 'Query' } });
    await usual.stop();
  });

  it('answers what is not JSON or not GraphQL with what is wrong', async () => {
    const response = await fetch(api.endpoint, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: '{"query": ',
    });
    expect(response.status).toBe(400);
    expect((await post(api, '{ nonsense }')).body.errors[0].message).toContain('"nonsense"');
  });
});

describe('origins', () => {
  it('refuses pages of other sites, and answers those of its own', async () => {
    const foreign = await post(api, '{ __typename }', {}, { origin: 'https://evil.example' });
    expect(foreign.status).toBe(403);
    expect(foreign.body.errors[0].message).toContain('CORS_ORIGINS');
    expect((await post(api, '{ __typename }', {}, { origin: api.url })).status).toBe(200);
  });

  it('tells the log of each that it refuses, once, and what to do', async () => {
    const lines: string[] = [];
    const log = pino({ level: 'warn' }, { write: (line: string) => void lines.push(line) });
    const noted = await startTestApi(database, {}, { log });
    for (const origin of ['https://a.example', 'https://b.example', 'https://a.example'])
      await post(noted, '{ __typename }', {}, { origin });
    await noted.stop();
    expect(lines.map((line) => JSON.parse(line).reason)).toEqual([
      'Origin "https://a.example" may not call this server: add it to CORS_ORIGINS.',
      'Origin "https://b.example" may not call this server: add it to CORS_ORIGINS.',
    ]);
  });

  it('refuses a host name that was rebound to this machine', async () => {
    const request = 'GET /graphql HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n';
    expect(await sendRaw(api, request)).toMatch(/^HTTP\/1\.1 403 /);
  });

  it('refuses a foreign page at the WebSocket, too', async () => {
    const upgrade = `GET /graphql HTTP/1.1\r\nHost: localhost\r\nOrigin: https://evil.example\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n`;
    expect(await sendRaw(api, upgrade)).toMatch(/^HTTP\/1\.1 403 /);
  });

  it('allows the origins it was told to', async () => {
    const open = await startTestApi(database, { CORS_ORIGINS: 'https://dashboard.example' });
    const { status, headers } = await post(
      open,
      '{ __typename }',
      {},
      { origin: 'https://dashboard.example' },
    );
    expect(status).toBe(200);
    expect(headers.get('access-control-allow-origin')).toBe('https://dashboard.example');
    await open.stop();
  });
});

describe('pages', () => {
  it('tells health and readiness, serves GraphiQL, and nothing else', async () => {
    const get = (path: string) => fetch(api.url + path, { headers: { accept: 'text/html' } });
    expect(await (await get('/health')).json()).toEqual({ status: 'ok' });
    expect(await (await get('/ready')).json()).toEqual({ status: 'ready' });
    const page = await (await get('/')).text();
    expect(page).toContain('AlignSAE');
    expect(page).not.toMatch(/(src|href)="https?:/);
    expect((await get('/etc')).status).toBe(404);
  });

  it('keeps a request id that it was given and makes one otherwise', async () => {
    const given = await post(api, '{ __typename }', {}, { 'x-request-id': 'abc-1' });
    expect(given.headers.get('x-request-id')).toBe('abc-1');
    const bad = await post(api, '{ __typename }', {}, { 'x-request-id': 'a b' });
    expect(bad.headers.get('x-request-id')).toMatch(/^[0-9a-f-]{36}$/);
  });
});
