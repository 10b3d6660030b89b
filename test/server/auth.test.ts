import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Database } from '../../src/db/client.ts';
import { createApiKey, revokeApiKey } from '../../src/services/apiKey.ts';
import { createTestDatabase } from '../helpers/database.ts';
import { insertQueuedRun } from '../helpers/fixtures.ts';
import { modelRunId, post, RUN_EVENTS, startTestApi, type TestApi, wsClient } from './edge.ts';

let database: Database;
let api: TestApi;

beforeAll(async () => {
  database = await createTestDatabase();
  api = await startTestApi(database, {}, { allowAnonymous: false });
});

afterAll(async () => {
  await api.stop();
  await database.close();
});

const bearer = (key: string) => ({ authorization: `Bearer ${key}` });
const keyFor = async (...scopes: string[]) => createApiKey(database.db, { name: scopes.join(), scopes });
const CANCEL = 'mutation ($id: ID!) { cancelRun(input: { id: $id }) { __typename } }';

describe('keys over HTTP', () => {
  it('refuses a request without a key, and says how to send one', async () => {
    const { status, body, headers } = await post(api, '{ __typename }');
    expect(status).toBe(401);
    expect(headers.get('www-authenticate')).toBe('Bearer');
    expect(body.errors[0].message).toContain('Authorization: Bearer <key>');
  });

  it('shows the schema to holders of a key alone, as introspection does', async () => {
    const { key } = await keyFor('RUN');
    const ask = (headers = {}) => fetch(`${api.url}/schema.graphql`, { headers });
    expect((await ask()).status).toBe(401);
    expect(await (await ask(bearer(key))).text()).toContain('type Query {');
  });

  it('refuses a malformed, an unknown and a revoked key', async () => {
    const { apiKey, key } = await keyFor('READ');
    expect((await post(api, '{ __typename }', {}, bearer(key))).status).toBe(200);
    await revokeApiKey(database.db, apiKey.id);
    for (const authorization of [`Bearer ${key}`, 'Bearer nobody-has-this', 'Basic abc', 'Bearer'])
      expect((await post(api, '{ __typename }', {}, { authorization })).status).toBe(401);
  });

  it('lets READ read, and neither run nor administer', async () => {
    const { key } = await keyFor('READ');
    const run = await insertQueuedRun(database.db);
    const read = await post(api, '{ runs(first: 1) { totalCount } }', {}, bearer(key));
    expect(read.body.data.runs.totalCount).toBeGreaterThan(0);
    const cancel = await post(api, CANCEL, { id: modelRunId(run.id) }, bearer(key));
    expect(cancel.body.errors[0].extensions.code).toBe('FORBIDDEN');
    const keys = await post(api, '{ apiKeys { name } }', {}, bearer(key));
    expect(keys.body.errors[0].extensions.code).toBe('FORBIDDEN');
    const still = await post(
      api,
      'query ($id: ID!) { run(id: $id) { status } }',
      { id: modelRunId(run.id) },
      bearer(key),
    );
    expect(still.body.data.run.status).toBe('QUEUED');
  });

  it('lets RUN cancel', async () => {
    const { key } = await keyFor('READ', 'RUN');
    const run = await insertQueuedRun(database.db);
    const { body } = await post(api, CANCEL, { id: modelRunId(run.id) }, bearer(key));
    expect(body.data.cancelRun.__typename).toBe('CancelRunSuccess');
  });

  it('lets ADMIN make keys, shows a key once, and stores its hash only', async () => {
    const { key } = await keyFor('ADMIN', 'READ');
    const create = `mutation { createApiKey(input: { name: "dash", scopes: [READ] }) { ... on CreateApiKeySuccess { key apiKey { name scopes } } } }`;
    const { body } = await post(api, create, {}, bearer(key));
    expect(body.data.createApiKey.apiKey).toEqual({ name: 'dash', scopes: ['READ'] });
    const made: string = body.data.createApiKey.key;
    expect((await post(api, '{ __typename }', {}, bearer(made))).status).toBe(200);
    const { rows } = await database.pool.query('select * from api_keys');
    expect(JSON.stringify(rows)).not.toContain(made);
  });
});

describe('a key that is revoked', () => {
  it('ends what it holds open, on every replica, and nothing else', async () => {
    const other = await startTestApi(database, {}, { allowAnonymous: false });
    const [doomed, kept] = [await keyFor('READ'), await keyFor('READ')];
    const { id } = await insertQueuedRun(database.db);
    const variables = { id: modelRunId(id) };
    const socket = (key: string) => {
      const client = wsClient(other, bearer(key));
      const closed = new Promise<number>((resolve) =>
        client.on('closed', (event) => resolve((event as CloseEvent).code)),
      );
      const opened = new Promise((next) =>
        client.subscribe({ query: RUN_EVENTS, variables }, { next, error: () => {}, complete: () => {} }),
      );
      return { client, closed, opened };
    };
    const stream = async (key: string) => {
      const response = await fetch(other.endpoint, {
        method: 'POST',
        headers: { 'content-type': 'application/json', accept: 'text/event-stream', ...bearer(key) },
        body: JSON.stringify({ query: RUN_EVENTS, variables }),
      });
      return response.body!.pipeThrough(new TextDecoderStream()).getReader();
    };
    const sockets = [socket(doomed.key), socket(kept.key)] as const;
    const streams = [await stream(doomed.key), await stream(kept.key)] as const;
    await Promise.all(sockets.map(({ opened }) => opened));
    // Through the other server, at which nothing of it is open.
    const revoked = performance.now();
    await revokeApiKey(database.db, doomed.apiKey.id);
    expect(await sockets[0].closed).toBe(4401);
    let rest = '';
    for (let part = await streams[0].read(); !part.done; part = await streams[0].read()) rest += part.value;
    expect(performance.now() - revoked).toBeLessThan(1000);
    expect(rest).toMatch(/"code":"UNAUTHENTICATED".*event: complete/s);
    const { value } = await sockets[1].client.iterate({ query: '{ runs { totalCount } }' }).next();
    expect(value!.errors).toBeUndefined();
    await streams[1].cancel();
    await sockets[1].client.dispose();
    await other.stop();
  });
});

describe('keys over WebSocket', () => {
  const connect = (params?: Record<string, unknown>) =>
    new Promise<string | number>((resolve) => {
      const client = wsClient(api, params);
      client.on('closed', (event) => resolve((event as CloseEvent).code));
      client.on('connected', () => {
        resolve('connected');
        void client.dispose();
      });
      client.subscribe({ query: '{ __typename }' }, { next: () => {}, error: () => {}, complete: () => {} });
    });

  it('checks the key of connection_init', async () => {
    const { key } = await keyFor('READ');
    expect(await connect({ authorization: `Bearer ${key}` })).toBe('connected');
    expect(await connect({ authorization: 'Bearer nobody-has-this' })).toBe(4401);
    expect(await connect()).toBe(4401);
  });

  it('checks the scope of a subscription', async () => {
    const { key } = await keyFor('RUN');
    const run = await insertQueuedRun(database.db);
    const client = wsClient(api, bearer(key));
    const events = client.iterate({ query: RUN_EVENTS, variables: { id: modelRunId(run.id) } });
    const { value: first } = await events.next();
    expect(first.errors[0].extensions.code).toBe('FORBIDDEN');
    await client.dispose();
  });
});
