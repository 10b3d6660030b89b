/** Every place of a schema where a caller may put a text, each as an operation that puts one there. */
import {
  type GraphQLArgument,
  type GraphQLInputType,
  GraphQLNonNull,
  type GraphQLObjectType,
  type GraphQLOutputType,
  type GraphQLSchema,
  getNamedType,
  getNullableType,
  isEnumType,
  isInputObjectType,
  isLeafType,
  isListType,
  isNonNullType,
  isObjectType,
  isUnionType,
} from 'graphql';

export interface Place {
  /** Such as `Mutation.createApiKey(input.name)`. */
  name: string;
  operation: 'query' | 'mutation' | 'subscription';
  type: 'String' | 'ID';
  query: string;
  /** Where an error says it was, from the argument on, or from inside `input`. */
  path: readonly string[];
  variables(text: string): Record<string, unknown>;
}

/** An id for each type of node that fields with arguments are on; a type that has none is left out. */
export type Seeds = Readonly<Record<string, string>>;
/** Values for required fields that are better than the first that comes to mind, by name. */
export type Samples = Readonly<Record<string, unknown>>;

export function placesOf(schema: GraphQLSchema, seeds: Seeds, samples: Samples): Place[] {
  const roots = [schema.getQueryType()!, schema.getMutationType()!, schema.getSubscriptionType()!];
  const objects = Object.values(schema.getTypeMap()).filter(isObjectType);
  return objects.flatMap((type) => {
    const operation = (['query', 'mutation', 'subscription'] as const)[roots.indexOf(type)];
    if (!operation && !seeds[type.name]) return [];
    return Object.values(type.getFields()).flatMap(({ name, args, type: result }) =>
      args.flatMap((arg) =>
        textsIn(arg.type, [arg.name]).map(
          ({ path, type: scalar }): Place => ({
            name: `${type.name}.${name}(${path.join('.')})`,
            operation: operation ?? 'query',
            type: scalar,
            query: queryOf(operation, type, name, args, result),
            path: arg.name === 'input' ? path.slice(1) : path,
            variables: (text) => ({
              ...(operation ? {} : { seed: seeds[type.name] }),
              ...Object.fromEntries(
                args.flatMap((other) => {
                  const value = makeValue(
                    other.type,
                    other.name,
                    other === arg ? path.slice(1) : null,
                    text,
                    {
                      ...samples,
                      ...seeds,
                    },
                  );
                  return value === undefined ? [] : [[other.name, value]];
                }),
              ),
            }),
          }),
        ),
      ),
    );
  });
}

function queryOf(
  operation: Place['operation'] | undefined,
  type: GraphQLObjectType,
  field: string,
  args: readonly GraphQLArgument[],
  result: GraphQLOutputType,
): string {
  const declared = args.map(({ name, type: input }) => `$${name}: ${input}`);
  const call = `${field}(${args.map(({ name }) => `${name}: $${name}`).join(', ')})${selectionOf(result)}`;
  if (operation) return `${operation} (${declared.join(', ')}) { ${call} }`;
  return `query ($seed: ID!, ${declared.join(', ')}) { node(id: $seed) { ... on ${type.name} { ${call} } } }`;
}

function selectionOf(result: GraphQLOutputType): string {
  const named = getNamedType(result);
  if (isLeafType(named)) return '';
  if (!isUnionType(named) || !named.getTypes().some(({ name }) => name === 'InputError'))
    return ' { __typename }';
  return ' { __typename ... on Error { message } ... on InputError { issues { path message } } }';
}

type TextPlace = { path: string[]; type: 'String' | 'ID' };

function textsIn(type: GraphQLInputType, path: string[]): TextPlace[] {
  const nullable = getNullableType(type);
  if (isListType(nullable)) return textsIn(nullable.ofType, [...path, '0']);
  if (isInputObjectType(nullable))
    return Object.values(nullable.getFields()).flatMap((field) => textsIn(field.type, [...path, field.name]));
  return nullable.name === 'String' || nullable.name === 'ID' ? [{ path, type: nullable.name }] : [];
}

/** A value with `text` at `path` and what is required besides; undefined where nothing is. */
function makeValue(
  type: GraphQLInputType,
  name: string,
  path: readonly string[] | null,
  text: string,
  samples: Samples,
): unknown {
  if (path === null && !isNonNullType(type)) return samples[name];
  if (path?.length === 0) return text;
  const nullable = getNullableType(type);
  const [key, ...rest] = path ?? [];
  if (isListType(nullable))
    return [makeValue(nullable.ofType, name, key === undefined ? null : rest, text, samples)];
  if (isInputObjectType(nullable)) {
    const fields = Object.values(nullable.getFields());
    if (nullable.isOneOf) {
      const { name, type } = fields.find((field) => field.name === key) ?? fields[0]!;
      const value = makeValue(new GraphQLNonNull(type), name, key === undefined ? null : rest, text, samples);
      return { [name]: value };
    }
    return Object.fromEntries(
      fields.flatMap((field) => {
        const value = makeValue(field.type, field.name, field.name === key ? rest : null, text, samples);
        return value === undefined ? [] : [[field.name, value]];
      }),
    );
  }
  if (samples[name] !== undefined) return samples[name];
  if (isEnumType(nullable)) return nullable.getValues()[0]!.name;
  return { Int: 1, Float: 1, Boolean: false, String: 'x', ID: samples.Dataset ?? 'x' }[nullable.name];
}
