/** Walks every way from every root by every set of scopes; no database stands behind it, so nothing can be changed. */
import {
  execute,
  type GraphQLArgument,
  type GraphQLField,
  type GraphQLInputType,
  type GraphQLObjectType,
  type GraphQLResolveInfo,
  getNamedType,
  isAbstractType,
  isCompositeType,
  isEnumType,
  isInputObjectType,
  isListType,
  isNonNullType,
  isObjectType,
  isRequiredArgument,
  isRequiredInputField,
  parse,
} from 'graphql';
import { describe, expect, it } from 'vitest';
import { createContext, type Dependencies } from '../../src/schema/context.ts';
import { encodeGlobalId } from '../../src/schema/ids.ts';
import { buildSchema } from '../../src/schema/schema.ts';
import type { Scope } from '../../src/services/apiKey.ts';

const schema = buildSchema();
const SETS: Scope[][] = [
  ...[[], ['READ'], ['RUN'], ['ADMIN']],
  ...[
    ['READ', 'RUN'],
    ['READ', 'ADMIN'],
    ['RUN', 'ADMIN'],
    ['READ', 'RUN', 'ADMIN'],
  ],
] as Scope[][];
const NAMED_SETS = SETS.map((set) => [set.join(' and ') || 'no scope', set] as const);
const ROOTS = [schema.getQueryType()!, schema.getMutationType()!, schema.getSubscriptionType()!];

/** What a resolver would work with: whoever touches it has passed all checks. */
class Touched extends Error {}
function contextOf(scopes: readonly Scope[]) {
  const untouchable = new Proxy(
    {},
    {
      get: () => {
        throw new Touched();
      },
    },
  );
  const dependencies = {
    ...{
      db: untouchable,
      store: untouchable,
      feed: untouchable,
      runChanges: untouchable,
      engine: untouchable,
      hub: untouchable,
    },
    ...{ importDir: '/nowhere', limits: { complexity: 1e9, modelBytes: 1, engineBytes: 1, queuedRuns: 1 } },
  } as Dependencies;
  return createContext(dependencies, { scopes, clientId: 'test' }, 'test');
}

function literal(type: GraphQLInputType): string {
  if (isNonNullType(type)) return literal(type.ofType);
  if (isListType(type)) return `[${literal(type.ofType)}]`;
  if (isEnumType(type)) return type.getValues()[0]!.name;
  if (isInputObjectType(type)) {
    const all = Object.values(type.getFields());
    const fields = type.isOneOf ? all.slice(0, 1) : all.filter(isRequiredInputField);
    return `{ ${fields.map((field) => `${field.name}: ${literal(field.type)}`).join(', ')} }`;
  }
  if (type.name === 'ID')
    return JSON.stringify(encodeGlobalId('ModelRun', '00000000-0000-4000-8000-000000000000'));
  return type.name === 'Boolean' ? 'true' : ['Int', 'Float'].includes(type.name) ? '1' : '"x"';
}

function call({ name, args }: GraphQLField<unknown, unknown>): string {
  const needed = args.filter((arg: GraphQLArgument) => isRequiredArgument(arg));
  return `${name}${needed.length ? `(${needed.map((arg) => `${arg.name}: ${literal(arg.type)}`)})` : ''}`;
}

async function isForbidden(
  root: GraphQLObjectType,
  text: string,
  scopes: readonly Scope[],
): Promise<boolean> {
  const operation = `${root.name.toLowerCase()} { ${text} }`;
  const args = { schema, document: parse(operation), contextValue: contextOf(scopes) };
  const field = Object.values(root.getFields()).find(({ name }) => text.startsWith(name))!;
  if (root === schema.getSubscriptionType()) {
    const { createSourceEventStream } = await import('graphql');
    const stream = await createSourceEventStream(args).catch((error: unknown) => ({ errors: [error] }));
    return hasForbidden((stream as { errors?: unknown[] }).errors);
  }
  expect(field).toBeDefined();
  return hasForbidden((await execute(args)).errors);
}
function hasForbidden(errors: readonly unknown[] | undefined): boolean {
  return (errors ?? []).some(
    (error) => (error as { extensions?: { code?: string } } | null)?.extensions?.code === 'FORBIDDEN',
  );
}

/** What the schema itself says that a root field needs. */
function neededBy(root: GraphQLObjectType, { description }: GraphQLField<unknown, unknown>): Scope[] {
  const said = /[Ss]cope (READ|RUN|ADMIN)\.$/.exec(description ?? '')?.[1] as Scope | undefined;
  if (root === schema.getMutationType()) return [said!];
  if (root === schema.getQueryType()) return said === 'RUN' ? ['READ', said] : [said ?? 'READ'];
  return said ? ['READ', said] : ['READ'];
}

const fieldsOf = (type: GraphQLObjectType) => Object.values(type.getFields());

describe.each(ROOTS.map((root) => [root.name, root] as const))('the fields of %s', (_name, root) => {
  it.each(NAMED_SETS)('open to %s as they say', async (_what, scopes) => {
    for (const field of fieldsOf(root)) {
      const selection = isCompositeType(getNamedType(field.type)) ? ' { __typename }' : '';
      const expected = !neededBy(root, field).every((scope) => scopes.includes(scope));
      const forbidden = await isForbidden(root, call(field) + selection, scopes);
      expect(`${field.name} ${forbidden}`).toBe(`${field.name} ${expected}`);
    }
  });
});

/** Object types that are no root and no answer of a mutation. */
const answers = new Set(
  fieldsOf(schema.getMutationType()!).flatMap(({ type }) => {
    const answer = getNamedType(type);
    return isAbstractType(answer) ? schema.getPossibleTypes(answer).map(({ name }) => name) : [answer.name];
  }),
);
const objects = Object.values(schema.getTypeMap()).filter(
  (type): type is GraphQLObjectType =>
    isObjectType(type) &&
    !ROOTS.includes(type) &&
    !answers.has(type.name) &&
    // The log of who changed what, which ADMIN alone opens.
    !type.name.startsWith('AuditEntry') &&
    !type.name.startsWith('__'),
);
const leading = objects.flatMap((type) =>
  fieldsOf(type)
    .filter((field) => isCompositeType(getNamedType(field.type)))
    .map((field) => [`${type.name}.${field.name}`, field] as const),
);

describe('a field that leads on', () => {
  it.each(NAMED_SETS)('needs READ, with %s', async (_what, scopes) => {
    expect(leading.length).toBeGreaterThan(100);
    for (const [name, { resolve }] of leading) {
      const attempt = async () => resolve!({}, {}, contextOf(scopes), {} as GraphQLResolveInfo);
      const error = await attempt().then(
        () => null,
        (thrown: unknown) => thrown,
      );
      expect(`${name} ${hasForbidden([error])}`).toBe(`${name} ${!scopes.includes('READ')}`);
    }
  });

  it('leads from the log of changes to keys alone', () => {
    const ofLog = ['AuditEntryConnection', 'AuditEntryEdge', 'AuditEntry'];
    const led = ofLog.flatMap((name) => fieldsOf(schema.getType(name) as GraphQLObjectType));
    const types = led.map(({ type }) => getNamedType(type)).filter(isCompositeType);
    expect(new Set(types.map(String))).toEqual(new Set([...ofLog.slice(1), 'PageInfo', 'ApiKey']));
  });

  it('stops a mutation without READ before it does anything', async () => {
    const root = schema.getMutationType()!;
    let asked = 0;
    for (const mutation of fieldsOf(root)) {
      for (const success of schema.getPossibleTypes(getNamedType(mutation.type) as never))
        for (const made of fieldsOf(success)) {
          const type = getNamedType(made.type);
          if (!isCompositeType(type)) continue;
          const kinds = isAbstractType(type) ? schema.getPossibleTypes(type) : [type as GraphQLObjectType];
          for (const kind of kinds)
            for (const field of fieldsOf(kind)) {
              if (!isCompositeType(getNamedType(field.type))) continue;
              const inner = `... on ${kind.name} { ${call(field)} { __typename } }`;
              const text = `${call(mutation)} { ... on ${success.name} { ${call(made)} { ${inner} } } }`;
              expect(`${text} ${await isForbidden(root, text, ['RUN', 'ADMIN'])}`).toBe(`${text} true`);
              asked++;
            }
        }
    }
    expect(asked).toBeGreaterThan(50);
  });

  it('lets RUN alone see what it has made', async () => {
    const root = schema.getMutationType()!;
    const text = `cancelRun(input: { id: "x" }) { ... on CancelRunSuccess { run { id status phase progress } } }`;
    expect(await isForbidden(root, text, ['RUN'])).toBe(false);
  });
});
