/** The log of who changed what, for those who administer the server. */
import {
  type GraphQLObjectType,
  type GraphQLSchema,
  getNamedType,
  isInterfaceType,
  isListType,
  isNonNullType,
  isObjectType,
} from 'graphql';
import type { RunKind } from '../engine/contract/runs.ts';
import { AppError } from '../errors.ts';
import { apiKeysByIds } from '../services/apiKey.ts';
import { type AuditEntry, audited, listAuditEntries } from '../services/audit.ts';
import { shownText } from '../storedText.ts';
import { builder } from './builder.ts';
import type { Context } from './context.ts';
import { TypedError } from './errors.ts';
import { encodeGlobalId, idOf, typenameOf } from './ids.ts';
import { ApiKeyRef } from './refs.ts';

/** Notes a mutation around its work. @param success The name of the type that it answers with. */
export function recordMutation<T extends object>(
  { db, viewer, requestId }: Context,
  { operation, input, success, schema }: Recorded,
  work: () => Promise<T>,
): Promise<T> {
  const target = idIn(input);
  const { keyId, clientId } = viewer;
  return audited(db, { apiKeyId: keyId ?? null, client: clientId, requestId, operation, target }, work, {
    done: (result) =>
      result instanceof TypedError
        ? { outcome: 'REFUSED', errorCode: result.code, target }
        : { outcome: 'DONE', errorCode: null, target: target ?? madeIn(schema, success, result) },
    thrown: (error) =>
      error instanceof AppError && error.code !== 'INTERNAL'
        ? { outcome: 'REFUSED', errorCode: error.code, target }
        : { outcome: 'FAILED', errorCode: 'INTERNAL', target },
  });
}

interface Recorded {
  operation: string;
  input: object;
  success: string;
  schema: GraphQLSchema;
}

const MAX_TARGET = 200;

/** What the input says the mutation is about; anything may stand there. */
function idIn(input: object): string | null {
  const id = 'id' in input ? input.id : null;
  return typeof id === 'string' ? shownText(id.slice(0, MAX_TARGET)) : null;
}

/** The thing that a success shows: the first of its fields that leads to something with an id of its own. */
function madeIn(schema: GraphQLSchema, success: string, result: object): string | null {
  for (const [name, { type }] of Object.entries((schema.getType(success) as GraphQLObjectType).getFields())) {
    const thing = (result as Record<string, unknown>)[name];
    const named = getNamedType(type);
    const isThing = isInterfaceType(named) || (isObjectType(named) && 'id' in named.getFields());
    if (!isThing || isListType(isNonNullType(type) ? type.ofType : type)) continue;
    const { id, kind } = (thing ?? {}) as { id?: unknown; kind?: RunKind };
    if (typeof id !== 'string') continue;
    return encodeGlobalId(isInterfaceType(named) ? typenameOf(kind!) : named.name, id);
  }
  return null;
}

const AuditOutcomeRef = builder.enumType('AuditOutcome', {
  description: 'How a mutation ended.',
  values: {
    BEGUN: {
      description:
        'Its end was not noted: it is under way, or the server ended before it did, and whether it took effect is not known.',
    },
    DONE: { description: 'It took effect.' },
    REFUSED: { description: 'Nothing was changed: `errorCode` says why.' },
    FAILED: { description: 'It failed unexpectedly; the server’s log has the details under `requestId`.' },
  },
});

const AuditEntryRef = builder.objectRef<AuditEntry>('AuditEntry').implement({
  description:
    'A mutation that somebody was allowed to make. What is refused for want of a scope, and what only reads, is not noted.',
  fields: (t) => ({
    at: t.expose('at', { type: 'DateTime', description: 'When it began.' }),
    apiKey: t.field({
      type: ApiKeyRef,
      nullable: true,
      description: 'The key by which it was made; null where there was none.',
      resolve: ({ apiKeyId }, _args, { loaders }) => loaders.loadMaybe(apiKeysByIds, apiKeyId),
    }),
    client: t.exposeString('client', {
      description: 'The caller as the log names it: the key’s id, or the address of a caller without one.',
    }),
    requestId: t.exposeString('requestId', { description: 'Ties it to the lines of the server’s log.' }),
    operation: t.exposeString('operation', { description: 'The mutation, such as `startModelRun`.' }),
    target: t.exposeString('target', {
      nullable: true,
      description:
        'Global id of what it was about: what the input names, or else what it made; null where there is none.',
    }),
    outcome: t.field({
      type: AuditOutcomeRef,
      description: 'How it ended.',
      resolve: ({ outcome }) => outcome,
    }),
    errorCode: t.exposeString('errorCode', {
      nullable: true,
      description: 'Code of the error that it ended with, such as NOT_FOUND; null where there was none.',
    }),
  }),
});

const AuditFilterInput = builder.inputType('AuditFilter', {
  description: 'Which entries to list; conditions left out do not restrict.',
  fields: (t) => ({
    apiKeyId: t.id({ required: false, description: 'Those made by this key.' }),
    operation: t.string({ required: false, description: 'Those of this mutation, such as `deleteRun`.' }),
    target: t.id({ required: false, description: 'Those about the thing with this id.' }),
    outcome: t.field({ type: AuditOutcomeRef, required: false, description: 'Those that ended so.' }),
    since: t.field({
      type: 'DateTime',
      required: false,
      description: 'Those that began then or later.',
    }),
    until: t.field({ type: 'DateTime', required: false, description: 'Those that began before.' }),
  }),
});

builder.queryField('auditLog', (t) =>
  t.connection(
    {
      type: AuditEntryRef,
      description: 'Who changed what, newest first. Needs the scope ADMIN.',
      skipTypeScopes: true,
      authScopes: { admin: true },
      args: { filter: t.arg({ type: AuditFilterInput, required: false, description: 'Which entries.' }) },
      resolve: (_root, { filter, ...args }, { db }) =>
        listAuditEntries(
          db,
          {
            ...filter,
            apiKeyId: filter?.apiKeyId && idOf(filter.apiKeyId, ['ApiKey'], ['filter', 'apiKeyId']),
          },
          args,
        ),
    },
    builder.connectionObject(
      { type: AuditEntryRef, name: 'AuditEntryConnection', description: 'One page of the log.' },
      { name: 'AuditEntryEdge', description: 'An entry of a page, with its place in the log.' },
    ),
  ),
);
