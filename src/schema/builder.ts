/** The one Pothos builder; noun files add their types to it when `schema.ts` imports them. */
import SchemaBuilder from '@pothos/core';
import ComplexityPlugin from '@pothos/plugin-complexity';
import RelayPlugin from '@pothos/plugin-relay';
import ScopeAuthPlugin, { type AuthFailure } from '@pothos/plugin-scope-auth';
import { AppError } from '../errors.ts';
import type { Context } from './context.ts';
import { decodeGlobalId, encodeGlobalId } from './ids.ts';
import { relayOptions } from './relay.ts';

export interface SchemaTypes {
  Context: Context;
  AuthScopes: { read: boolean; run: boolean; admin: boolean };
  Scalars: {
    ID: { Input: string; Output: string };
    DateTime: { Input: Date; Output: Date };
    Upload: { Input: File; Output: never };
  };
  /** Counted only when asked for. */
  Connection: { totalCount: () => Promise<number> };
  DefaultFieldNullability: false;
  DefaultEdgesNullability: false;
  DefaultNodeNullability: false;
}

/** Items of a connection when neither `first` nor `last` is given; also what the complexity rule counts. */
const DEFAULT_PAGE_SIZE = 20;

export const builder = new SchemaBuilder<SchemaTypes>({
  plugins: [ScopeAuthPlugin, ComplexityPlugin, RelayPlugin],
  defaultFieldNullability: false,
  scopeAuth: {
    authorizeOnSubscribe: true,
    authScopes: ({ viewer }) => ({
      read: viewer.scopes.includes('READ'),
      run: viewer.scopes.includes('RUN'),
      admin: viewer.scopes.includes('ADMIN'),
    }),
    unauthorizedError: (_parent, { viewer }, { parentType, fieldName }, { failure }) => {
      const held = viewer.scopes.join(', ') || 'none';
      const needed = `the scope ${missingScopes(failure).join(' or ')}`;
      const message = `${parentType.name}.${fieldName} needs ${needed}; this caller has ${held}`;
      return new AppError('FORBIDDEN', message);
    },
  },
  complexity: {
    defaultComplexity: 1,
    // Plain lists here are short and come with their parent's row; connections say how many they return.
    defaultListMultiplier: 3,
    limit: ({ limits }) => ({ complexity: limits.complexity }),
    complexityError: (_kind, { complexity, maxComplexity }) =>
      new AppError(
        'LIMIT_EXCEEDED',
        `The operation's complexity is ${complexity}; accepted is at most ${maxComplexity}: ask for fewer fields or smaller pages`,
      ),
  },
  relay: {
    ...relayOptions,
    encodeGlobalID: (typename, id) => encodeGlobalId(typename, String(id)),
    decodeGlobalID: (globalId) => decodeGlobalId(globalId),
    defaultConnectionFieldOptions: {
      complexity: (args: { first?: number | null; last?: number | null }) => ({
        field: 1,
        multiplier: args.first ?? args.last ?? DEFAULT_PAGE_SIZE,
      }),
    },
  },
});

builder.queryType({
  description: 'Everything that can be read. Needs the scope READ, except where a field says ADMIN.',
  authScopes: { read: true },
});
builder.mutationType({
  description:
    'Everything that changes something. Each takes one `input` and returns a union: its success type, or a typed error. Needs the scope RUN; those about API keys need ADMIN.',
});
builder.subscriptionType({
  description:
    'What is pushed while it happens, over graphql-ws or server-sent events. Needs the scope READ.',
  authScopes: { read: true },
});

builder.globalConnectionField('totalCount', (t) =>
  t.int({
    description: 'Number of items in the whole list, over all pages.',
    resolve: (connection) => connection.totalCount(),
  }),
);

function missingScopes(failure: AuthFailure): string[] {
  if ('failures' in failure) return failure.failures.flatMap(missingScopes);
  return 'scope' in failure ? [failure.scope.toUpperCase()] : [];
}
