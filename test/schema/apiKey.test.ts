import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { apiKeys } from '../../src/db/tables/index.ts';
import { encodeGlobalId } from '../../src/schema/ids.ts';
import { hasAdminKey, setEnvironmentKey, verifyApiKey } from '../../src/services/apiKey.ts';
import { type Api, type Data, openApi } from './api.ts';

const CREATE = /* GraphQL */ `
  mutation ($input: CreateApiKeyInput!) {
    createApiKey(input: $input) {
      __typename
      ... on CreateApiKeySuccess { key apiKey { id name scopes createdAt lastUsedAt revokedAt } }
      ... on InputError { path message }
    }
  }
`;
const REVOKE = /* GraphQL */ `
  mutation ($id: ID!) {
    revokeApiKey(input: { id: $id }) {
      __typename
      ... on RevokeApiKeySuccess { apiKey { id revokedAt } }
      ... on Error { message }
    }
  }
`;
const LIST = '{ apiKeys { id name lastUsedAt revokedAt } }';

let api: Api;
beforeAll(async () => {
  api = await openApi();
});
afterAll(() => api.close());

const create = async (input: object) => (await api.ask(CREATE, { input })).createApiKey as Data;
const verify = (key: string) => verifyApiKey(api.database.db, key);

describe('API keys', () => {
  it('are shown once, stored as a hash, and hold what they were given', async () => {
    const { key, apiKey } = await create({ name: ' Dashboard ', scopes: ['RUN', 'READ', 'RUN'] });
    expect(apiKey).toMatchObject({
      name: 'Dashboard',
      scopes: ['READ', 'RUN'],
      lastUsedAt: null,
      revokedAt: null,
    });
    // 32 random bytes behind the prefix
    expect(key).toMatch(/^alignsae_[\w-]{43}$/);
    const rows = await api.database.db.select().from(apiKeys);
    expect(JSON.stringify(rows)).not.toContain(key.slice(9));
    expect(await verify(key)).toMatchObject({ scopes: ['READ', 'RUN'] });
    expect((await create({ name: 'Other', scopes: ['READ'] })).key).not.toBe(key);
  });

  it('remember when they were used, and end when they are revoked', async () => {
    const { key, apiKey } = await create({ name: 'Short', scopes: ['ADMIN'] });
    await verify(key);
    const find = async () => (await api.ask(LIST)).apiKeys.find(({ id }: Data) => id === apiKey.id);
    expect((await find()).lastUsedAt).toMatch(/Z$/);
    expect((await api.ask(REVOKE, { id: apiKey.id })).revokeApiKey.__typename).toBe('RevokeApiKeySuccess');
    expect(await verify(key)).toBeNull();
    expect((await find()).revokedAt).toMatch(/Z$/);
    expect((await api.ask(REVOKE, { id: apiKey.id })).revokeApiKey).toMatchObject({
      __typename: 'ConflictError',
      message: expect.stringContaining('"Short" was revoked'),
    });
  });

  it.each(['', 'alignsae_', 'Bearer x', 'é'])('do not include %j', async (key) => {
    expect(await verify(key)).toBeNull();
  });

  it.each([
    ['no name', { name: ' ', scopes: ['READ'] }, 'name'],
    ['no scope', { name: 'x', scopes: [] }, 'scopes'],
  ])('need more than %s', async (_what, input, field) => {
    expect(await create(input)).toMatchObject({ __typename: 'InputError', path: [field] });
  });

  it('are not found under other ids', async () => {
    const revoke = async (id: string) => (await api.ask(REVOKE, { id })).revokeApiKey.__typename;
    expect(await revoke(encodeGlobalId('ApiKey', '00000000-0000-4000-8000-000000000000'))).toBe(
      'NotFoundError',
    );
    expect(await revoke(encodeGlobalId('Model', '00000000-0000-4000-8000-000000000000'))).toBe('InputError');
  });

  it('can be the operator’s own, valid again at every start', async () => {
    const { db } = api.database;
    expect(await hasAdminKey(db)).toBe(false);
    const key = 'an-operator-chose-this-long-enough-key';
    await setEnvironmentKey(db, key);
    await setEnvironmentKey(db, key);
    expect(await hasAdminKey(db)).toBe(true);
    expect(await verify(key)).toMatchObject({ scopes: ['READ', 'RUN', 'ADMIN'] });
    const own = (await api.ask(LIST)).apiKeys.filter(({ name }: Data) => name === 'ADMIN_API_KEY');
    expect(own).toHaveLength(1);
    await api.ask(REVOKE, { id: own[0].id });
    expect(await hasAdminKey(db)).toBe(false);
    await setEnvironmentKey(db, key);
    expect(await verify(key)).not.toBeNull();
  });

  it('of the operator is that of the last start: a rotated or removed one is not valid any more', async () => {
    const { db } = api.database;
    const [first, second] = ['the-first-key-of-the-operator-000000', 'the-second-key-of-the-operator-00000'];
    await setEnvironmentKey(db, first);
    const { key: other } = await create({ name: 'reader', scopes: ['READ'] });
    await setEnvironmentKey(db, second);
    expect(await verify(first)).toBeNull();
    expect(await verify(second)).toMatchObject({ scopes: ['READ', 'RUN', 'ADMIN'] });
    await setEnvironmentKey(db, null);
    expect(await verify(second)).toBeNull();
    expect(await verify(other)).toMatchObject({ scopes: ['READ'] });
  });

  it('cannot take the name of the operator’s', async () => {
    expect(await create({ name: 'ADMIN_API_KEY', scopes: ['READ'] })).toMatchObject({
      ...{ __typename: 'InputError', path: ['name'] },
    });
  });
});
