/** Fields that types of one interface or union share can be selected together, as GraphQL demands of one answer. */
import {
  type GraphQLObjectType,
  type GraphQLOutputType,
  isAbstractType,
  isCompositeType,
  isLeafType,
  isListType,
  isNonNullType,
  isObjectType,
} from 'graphql';
import { expect, test } from 'vitest';
import { buildSchema } from '../../src/schema/schema.ts';

const schema = buildSchema();

/** Promised to clients as they are; one of them needs an alias. */
const ALIASED = ['HopSwapResult.isolation: Rate! against SwapSweepResult.isolation: Float'];

test('no two types of an interface or union have a field of one name that cannot be selected of both', () => {
  const conflicts = new Set<string>();
  for (const type of Object.values(schema.getTypeMap())) {
    // Nodes have nothing in common but their ids: whoever asks for several kinds of things names their fields apart.
    if (!isAbstractType(type) || type.name === 'Node') continue;
    const types = schema.getPossibleTypes(type);
    for (const [i, a] of types.entries())
      for (const b of types.slice(i + 1)) for (const conflict of conflictsOf(a, b)) conflicts.add(conflict);
  }
  expect([...conflicts]).toEqual(ALIASED);
});

test('such a conflict is found, also below fields that are shared', () => {
  const run = (kind: string) => schema.getType(kind) as GraphQLObjectType;
  expect(conflictsOf(run('InputIssue'), run('Run') as never)).toEqual([]);
  expect(conflictsOf(run('InputError'), run('MetricSeries'))).toEqual([]);
  expect(conflictsOf(run('Metric'), run('Corpus'))).toEqual([]);
  expect(conflictsOf(run('MetricPoint'), run('MetricValue'))).toEqual([]);
  expect(conflictsOf(run('SettingValue'), run('MetricPoint'))).toEqual([
    'SettingValue.value: String! against MetricPoint.value: Float',
  ]);
});

/** Shapes that may not meet under one name; types that only meet below are compared field by field. */
function conflictsOf(a: GraphQLObjectType, b: GraphQLObjectType, seen = new Set<string>()): string[] {
  const pair = [a.name, b.name].sort().join();
  if (a === b || seen.has(pair)) return [];
  seen.add(pair);
  const others = b.getFields();
  return Object.values(a.getFields()).flatMap((field) => {
    const other = others[field.name];
    if (!other) return [];
    const below = bare(field.type, other.type);
    if (below === null)
      return [`${a.name}.${field.name}: ${field.type} against ${b.name}.${field.name}: ${other.type}`];
    return below.flatMap(([x, y]) => conflictsOf(x, y, seen));
  });
}

/** Null where the shapes differ; otherwise the pairs of objects that may meet below. */
function bare(a: GraphQLOutputType, b: GraphQLOutputType): [GraphQLObjectType, GraphQLObjectType][] | null {
  if (isNonNullType(a) || isNonNullType(b))
    return isNonNullType(a) && isNonNullType(b) ? bare(a.ofType, b.ofType) : null;
  if (isListType(a) || isListType(b)) return isListType(a) && isListType(b) ? bare(a.ofType, b.ofType) : null;
  if (isLeafType(a) || isLeafType(b)) return a === b ? [] : null;
  if (!isCompositeType(a) || !isCompositeType(b)) return null;
  return objectsOf(a).flatMap((x) =>
    objectsOf(b).map((y) => [x, y] as [GraphQLObjectType, GraphQLObjectType]),
  );
}

function objectsOf(type: GraphQLOutputType): readonly GraphQLObjectType[] {
  if (isObjectType(type)) return [type];
  return isAbstractType(type) ? schema.getPossibleTypes(type) : [];
}
