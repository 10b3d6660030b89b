/** READ at every field that leads to data, not at the roots alone: the result of a mutation leads everywhere, too. */
import {
  defaultFieldResolver,
  type FieldNode,
  type GraphQLObjectType,
  type GraphQLOutputType,
  type GraphQLResolveInfo,
  type GraphQLSchema,
  getNamedType,
  isAbstractType,
  isCompositeType,
  isObjectType,
  type SelectionSetNode,
} from 'graphql';
import { AppError } from '../errors.ts';
import type { Context } from './context.ts';

/**
 * Without READ, what a mutation answers can be read: its typed error, or its success with what it made or changed, by
 * their plain fields. Every field that leads on from there needs READ. A mutation that asks for such a field is refused
 * before it changes anything.
 */
export function guardData(schema: GraphQLSchema): GraphQLSchema {
  const open = openTypes(schema);
  const leadsOn = (type: { name: string }, output: GraphQLOutputType) =>
    !open.has(type.name) && isCompositeType(getNamedType(output));
  for (const type of Object.values(schema.getTypeMap())) {
    if (!isObjectType(type) || type.name.startsWith('__')) continue;
    for (const field of Object.values(type.getFields())) {
      if (!leadsOn(type, field.type)) continue;
      const resolve = field.resolve ?? defaultFieldResolver;
      field.resolve = (source, args, context: Context, info) => {
        requireRead(context, `${type.name}.${field.name}`);
        return resolve(source, args, context, info);
      };
    }
  }
  guardMutations(schema, leadsOn);
  return schema;
}

/** Lists that ADMIN alone opens, by types that lead nowhere else. */
const OF_ADMIN = ['AuditEntryConnection', 'AuditEntryEdge', 'AuditEntry'];

/** The roots, which have scopes of their own, what mutations answer, and what ADMIN opens. */
function openTypes(schema: GraphQLSchema): ReadonlySet<string> {
  const names = new Set<string>(OF_ADMIN);
  for (const root of [schema.getQueryType(), schema.getMutationType(), schema.getSubscriptionType()])
    if (root) names.add(root.name);
  for (const { type } of Object.values(schema.getMutationType()?.getFields() ?? {})) {
    const answer = getNamedType(type);
    names.add(answer.name);
    if (isAbstractType(answer)) for (const { name } of schema.getPossibleTypes(answer)) names.add(name);
  }
  return names;
}

type LeadsOn = (type: { name: string }, output: GraphQLOutputType) => boolean;

function guardMutations(schema: GraphQLSchema, leadsOn: LeadsOn): void {
  for (const field of Object.values(schema.getMutationType()?.getFields() ?? {})) {
    const resolve = field.resolve ?? defaultFieldResolver;
    field.resolve = (source, args, context: Context, info) => {
      if (!canRead(context)) {
        const asked = findLeading(schema, info, leadsOn);
        if (asked !== null) requireRead(context, asked);
      }
      return resolve(source, args, context, info);
    };
  }
}

/** The first field below this one that leads on. */
function findLeading(schema: GraphQLSchema, info: GraphQLResolveInfo, leadsOn: LeadsOn): string | null {
  const below = (type: string, { selections }: SelectionSetNode): string | null => {
    for (const selection of selections) {
      const found =
        selection.kind === 'Field'
          ? ofField(type, selection)
          : selection.kind === 'InlineFragment'
            ? below(selection.typeCondition?.name.value ?? type, selection.selectionSet)
            : inFragment(selection.name.value);
      if (found !== null) return found;
    }
    return null;
  };
  const inFragment = (name: string) => {
    const { typeCondition, selectionSet } = info.fragments[name]!;
    return below(typeCondition.name.value, selectionSet);
  };
  const ofField = (typeName: string, { name, selectionSet }: FieldNode): string | null => {
    const type = schema.getType(typeName) as GraphQLObjectType;
    if (!selectionSet || !('getFields' in type)) return null;
    const { type: output } = type.getFields()[name.value]!;
    if (leadsOn(type, output)) return `${typeName}.${name.value}`;
    return below(getNamedType(output).name, selectionSet);
  };
  const answer = getNamedType(info.returnType).name;
  for (const { selectionSet } of info.fieldNodes) {
    const found = selectionSet ? below(answer, selectionSet) : null;
    if (found !== null) return found;
  }
  return null;
}

function canRead({ viewer }: Context): boolean {
  return viewer.scopes.includes('READ');
}

function requireRead(context: Context, field: string): void {
  if (canRead(context)) return;
  const held = context.viewer.scopes.join(', ') || 'none';
  throw new AppError('FORBIDDEN', `${field} needs the scope READ; this caller has ${held}`);
}
