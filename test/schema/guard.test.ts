import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Scope, workers } from '../../src/db/tables/index.ts';
import { encodeGlobalId } from '../../src/schema/ids.ts';
import { insertRunningRun } from '../helpers/fixtures.ts';
import { type Api, openApi } from './api.ts';
import { contract } from './contract.ts';

let api: Api;
beforeAll(async () => {
  api = await openApi();
});
afterAll(() => api.close());

const codes = async (query: string, scopes: readonly Scope[], variables = {}) =>
  (await api.answer(query, variables, scopes)).errors?.map((error) => error.extensions?.code);

describe('scopes', () => {
  const ID = encodeGlobalId('ModelRun', '00000000-0000-4000-8000-000000000000');
  const CREATE_KEY = 'mutation { createApiKey(input: { name: "x", scopes: [READ] }) { __typename } }';

  it.each<[string, Scope, string]>([
    ['a query', 'READ', '{ runs { totalCount } }'],
    ['node', 'READ', `{ node(id: "${ID}") { id } }`],
    ['the engine', 'READ', '{ engine { queue { queued } } }'],
    ['cancelling', 'RUN', `mutation { cancelRun(input: { id: "${ID}" }) { __typename } }`],
    ['generating', 'RUN', 'mutation { generateDataset(input: { people: 1 }) { __typename } }'],
    ['listing API keys', 'ADMIN', '{ apiKeys { name } }'],
    ['making an API key', 'ADMIN', CREATE_KEY],
  ])('%s needs %s and no other', async (_what, scope, query) => {
    const others = (['READ', 'RUN', 'ADMIN'] as const).filter((other) => other !== scope);
    const { errors } = await api.answer(query, {}, others);
    const message = expect.stringContaining(`needs the scope ${scope}; this caller has ${others.join(', ')}`);
    expect(errors).toMatchObject([{ message, extensions: { code: 'FORBIDDEN' } }]);
    expect((await codes(query, [scope]))?.includes('FORBIDDEN')).not.toBe(true);
  });

  it('a subscription needs READ', async () => {
    const { id } = await insertRunningRun(api.database.db);
    const variables = { id: encodeGlobalId('ModelRun', id) };
    const denied = api.subscribe(contract('RunEvents'), variables, ['RUN', 'ADMIN']);
    await expect(denied).rejects.toMatchObject({ extensions: { code: 'FORBIDDEN' } });
    const events = await api.subscribe(contract('RunEvents'), variables, ['READ']);
    expect((await events.next()).value.data.runEvents.cursor).toBeTruthy();
    await events.return!();
  });
});

describe('limits', () => {
  it('refuses an operation that asks for too much, and says how much that is', async () => {
    const pages =
      'ontologies(first: 500) { edges { node { datasets(first: 500) { edges { node { name } } } } } }';
    const { errors } = await api.answer(`{ ${pages} }`);
    expect(errors).toMatchObject([
      {
        message: expect.stringMatching(/complexity is \d{6}; accepted is at most 50000/),
        extensions: { code: 'LIMIT_EXCEEDED' },
      },
    ]);
  });

  it('counts the points of a curve, and not the fields alone', async () => {
    const { id } = await insertRunningRun(api.database.db);
    const run = { id: encodeGlobalId('ModelRun', id) };
    const curves = (n: number) =>
      `query ($id: ID!) { run(id: $id) { ${Array.from({ length: n }, (_, i) => `a${i}: metrics(maxPoints: 10000) { points { step } }`).join(' ')} } }`;
    expect(await codes(curves(28), ['READ'], run)).toEqual(['LIMIT_EXCEEDED']);
    await api.ask(curves(1), run);
    const list = '{ runs(first: 20) { edges { node { metrics { name points { step value } } } } } }';
    await api.ask(list);
  });

  it('accepts everything that the contract asks for', async () => {
    for (const name of ['Ontologies', 'Engine']) await api.ask(contract(name));
    await api.ask(contract('Runs'), { first: 100 });
  });
});

describe('errors', () => {
  it('hides what went wrong inside', async () => {
    // No worker is alive, and the engine of this process is out of order.
    await api.database.db.update(workers).set({ endedAt: new Date() });
    const { errors } = await api.answer('{ engine { backend } }');
    expect(errors).toMatchObject([
      { path: ['engine'], extensions: { code: 'INTERNAL', errorId: expect.any(String) } },
    ]);
    expect(JSON.stringify(errors)).not.toContain('without an engine');
  });
});
