/** API keys, for those who administer the server. */
import { type ApiKey, createApiKey, listApiKeys, revokeApiKey } from '../services/apiKey.ts';
import { builder } from './builder.ts';
import { idOf } from './ids.ts';
import { withoutNulls } from './input.ts';
import { addMutation } from './mutation.ts';
import { ApiKeyRef } from './refs.ts';

const Scope = builder.enumType('Scope', {
  description: 'What an API key may do. A key holds any number of them; none implies another.',
  values: {
    READ: { description: 'Queries and subscriptions.' },
    RUN: {
      description:
        'Mutations that create, start, cancel or swap, and the plain fields of what they made; every field that leads on from there needs READ, too.',
    },
    ADMIN: { description: 'Making, listing and revoking API keys; reading the log of who changed what.' },
  },
});

builder.objectType(ApiKeyRef, {
  description: 'A bearer key. Its text is shown once, when it is made; only a hash is stored.',
  fields: (t) => ({
    id: t.globalID({
      description: 'Global id of the key (not the key itself), for `revokeApiKey`.',
      resolve: ({ id }) => ({ type: 'ApiKey', id }),
    }),
    name: t.exposeString('name', { description: 'Who or what it was made for.' }),
    scopes: t.field({ type: [Scope], description: 'What it may do.', resolve: (key) => key.scopes }),
    createdAt: t.expose('createdAt', { type: 'DateTime', description: 'When it was made.' }),
    lastUsedAt: t.expose('lastUsedAt', {
      type: 'DateTime',
      nullable: true,
      description: 'When it was last used, to within a minute; null if never.',
    }),
    revokedAt: t.expose('revokedAt', {
      type: 'DateTime',
      nullable: true,
      description: 'When it was revoked; null while it is valid.',
    }),
  }),
});

builder.queryField('apiKeys', (t) =>
  t.field({
    type: [ApiKeyRef],
    description: 'All API keys, newest first. Needs the scope ADMIN.',
    skipTypeScopes: true,
    authScopes: { admin: true },
    resolve: (_root, _args, { db }) => listApiKeys(db),
  }),
);

addMutation('createApiKey', {
  description: 'Makes an API key. Its text is in the answer and cannot be shown again.',
  scope: 'admin',
  input: builder.inputType('CreateApiKeyInput', {
    description: 'The key to be made.',
    fields: (t) => ({
      name: t.string({ required: true, description: 'Who or what it is for, at most 200 characters.' }),
      scopes: t.field({ type: [Scope], required: true, description: 'What it may do; at least one.' }),
    }),
  }),
  success: builder.objectRef<{ apiKey: ApiKey; key: string }>('CreateApiKeySuccess').implement({
    description: 'A key was made.',
    fields: (t) => ({
      apiKey: t.field({ type: ApiKeyRef, description: 'What is stored of it.', resolve: (r) => r.apiKey }),
      key: t.exposeString('key', {
        description: 'The key: send it as `Authorization: Bearer <key>`. Keep it; it is not shown again.',
      }),
    }),
  }),
  errors: ['INVALID_INPUT'],
  resolve: (input, { db }) => createApiKey(db, withoutNulls(input)),
});

addMutation('revokeApiKey', {
  description: 'Makes an API key invalid, at once and for good.',
  scope: 'admin',
  input: builder.inputType('RevokeApiKeyInput', {
    description: 'The key to be revoked.',
    fields: (t) => ({ id: t.id({ required: true, description: 'Id of the key.' }) }),
  }),
  success: builder.objectRef<{ apiKey: ApiKey }>('RevokeApiKeySuccess').implement({
    description: 'The key is no longer valid.',
    fields: (t) => ({
      apiKey: t.field({ type: ApiKeyRef, description: 'The revoked key.', resolve: (r) => r.apiKey }),
    }),
  }),
  errors: ['INVALID_INPUT', 'NOT_FOUND', 'CONFLICT'],
  resolve: async ({ id }, { db }) => ({ apiKey: await revokeApiKey(db, idOf(id, ['ApiKey'], ['id'])) }),
});
