import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { auditEntries } from '../../src/db/tables/index.ts';
import { encodeGlobalId } from '../../src/schema/ids.ts';
import { audited } from '../../src/services/audit.ts';
import { type Api, type Data, openApi } from './api.ts';

const NOBODY = '00000000-0000-4000-8000-000000000000';
const LOG = /* GraphQL */ `
  query ($first: Int, $after: String, $filter: AuditFilter) {
    auditLog(first: $first, after: $after, filter: $filter) {
      totalCount
      pageInfo { hasNextPage endCursor }
      edges { node { at client requestId operation target outcome errorCode apiKey { name } } }
    }
  }
`;

let api: Api;
beforeAll(async () => {
  api = await openApi();
});
afterAll(() => api.close());

const log = async (variables: object = {}): Promise<Data[]> =>
  (await api.ask(LOG, { ...variables })).auditLog.edges.map(({ node }: Data) => node);
const mutate = (text: string, scopes?: readonly ('READ' | 'RUN' | 'ADMIN')[]) =>
  api.answer(`mutation { ${text} }`, {}, scopes);

describe('the log of who changed what', () => {
  it('says what was made, changed and refused, newest first', async () => {
    const made = await mutate(
      'generateDataset(input: { people: 1 }) { ... on GenerateDatasetSuccess { dataset { id } } }',
    );
    const { id } = made.data.generateDataset.dataset;
    const started = await mutate(
      `startModelRun(input: { datasetId: "${id}" }) { ... on StartRunSuccess { run { id } } }`,
    );
    const runId = started.data.startModelRun.run.id;
    await mutate(`cancelRun(input: { id: "${runId}" }) { __typename }`);
    await mutate(`cancelRun(input: { id: "${runId}" }) { __typename }`);
    await mutate(
      `startModelRun(input: { datasetId: "${encodeGlobalId('Dataset', NOBODY)}" }) { __typename }`,
    );
    await mutate('createApiKey(input: { name: "k", scopes: [READ] }) { __typename }');
    const entries = await log();
    expect(entries.map(({ operation, outcome, errorCode }) => [operation, outcome, errorCode])).toEqual([
      ['createApiKey', 'DONE', null],
      ['startModelRun', 'REFUSED', 'NOT_FOUND'],
      ['cancelRun', 'REFUSED', 'CONFLICT'],
      ['cancelRun', 'DONE', null],
      ['startModelRun', 'DONE', null],
      ['generateDataset', 'DONE', null],
    ]);
    expect(entries.map(({ target }) => target)).toEqual([
      ...[expect.any(String), null, runId, runId, runId, id],
    ]);
    expect(Buffer.from(entries[0]!.target, 'base64').toString()).toMatch(/^ApiKey:/);
    expect(entries[0]).toMatchObject({ client: 'test', requestId: 'test', apiKey: null });
  });

  it('is read page by page and by what is looked for', async () => {
    const first = (await api.ask(LOG, { first: 4 })).auditLog;
    expect(first).toMatchObject({ totalCount: 6, pageInfo: { hasNextPage: true } });
    const second = (await api.ask(LOG, { first: 4, after: first.pageInfo.endCursor })).auditLog;
    expect([...first.edges, ...second.edges].map(({ node }: Data) => node)).toEqual(await log());
    expect(await log({ filter: { operation: 'cancelRun', outcome: 'DONE' } })).toHaveLength(1);
    const [{ target, at }] = (await log({ filter: { operation: 'generateDataset' } })) as [Data];
    expect(await log({ filter: { target } })).toHaveLength(1);
    expect(await log({ filter: { until: at } })).toEqual([]);
    expect(await log({ filter: { since: at } })).toHaveLength(6);
    expect(await log({ filter: { apiKeyId: encodeGlobalId('ApiKey', NOBODY) } })).toEqual([]);
    const { errors } = await api.answer(LOG, { filter: { since: 'yesterday' } });
    expect(errors![0]!.message).toContain('DateTime accepts an instant such as');
  });

  it('is for ADMIN, who needs no READ, and for nobody else', async () => {
    expect((await api.answer(LOG, {}, ['ADMIN'])).data.auditLog.totalCount).toBe(6);
    const { errors } = await api.answer(LOG, {}, ['READ', 'RUN']);
    expect(errors![0]).toMatchObject({ extensions: { code: 'FORBIDDEN' } });
    // Nobody was allowed to do this, so nobody did.
    await mutate('createApiKey(input: { name: "x", scopes: [READ] }) { __typename }', ['RUN']);
    expect(await log()).toHaveLength(6);
  });

  it('tells of what broke, and of what nobody saw the end of', async () => {
    const { db } = api.database;
    const entry = { apiKeyId: null, client: 'c', requestId: 'r', operation: 'deleteRun', target: null };
    const end = { outcome: 'DONE', errorCode: null, target: null } as const;
    const crash = () => Promise.reject(new Error('gone'));
    const thrown = () => ({ outcome: 'FAILED', errorCode: 'INTERNAL', target: null }) as const;
    await expect(audited(db, entry, crash, { done: () => end, thrown })).rejects.toThrow('gone');
    expect((await log())[0]).toMatchObject({ operation: 'deleteRun', outcome: 'FAILED' });
    let during: unknown;
    const work = async () => {
      during = (await log())[0]?.outcome;
      await db.delete(auditEntries);
    };
    // Without a row to end, what was done is done all the same.
    await audited(db, entry, work, { done: () => end, thrown });
    expect(during).toBe('BEGUN');
  });
});
