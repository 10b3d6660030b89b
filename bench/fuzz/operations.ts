/** Random operations over a schema: valid ones in odd combinations, with odd arguments. */
import {
  type GraphQLArgument,
  type GraphQLInputType,
  type GraphQLNamedType,
  type GraphQLObjectType,
  type GraphQLSchema,
  getNamedType,
  getNullableType,
  isAbstractType,
  isEnumType,
  isInputObjectType,
  isInterfaceType,
  isLeafType,
  isListType,
  isNonNullType,
  isObjectType,
} from 'graphql';
import type { Random } from '../../src/random.ts';
import type { Seeds } from './places.ts';
import { HOSTILE_STRINGS } from './strings.ts';

export interface Operation {
  kind: 'query' | 'mutation' | 'subscription';
  query: string;
  variables: Record<string, unknown>;
}

const MAX_DEPTH = 5;
/** Honest work that would only hold the others up: always asked for in little. */
const SMALL: Readonly<Record<string, number>> = { people: 1, entities: 2, relations: 2, maxNewTokens: 1 };
const NUMBERS = [0, 1, 2, 3, 20, 500, 501, -1, 2 ** 31 - 1, -(2 ** 31), 0.5, 1e308, -0.1];

/** Draws operations; ids of `seeds` are among what queries ask for, and no mutation is given one that could start work. */
export function drawOperations(schema: GraphQLSchema, seeds: Seeds, random: Random): () => Operation {
  const roots = [
    ...Array(6).fill(['query', schema.getQueryType()!]),
    ...Array(3).fill(['mutation', schema.getMutationType()!]),
    ['subscription', schema.getSubscriptionType()!],
  ] as ['query' | 'mutation' | 'subscription', GraphQLObjectType][];
  return () => {
    const [kind, type] = pick(random, roots);
    const draft = new Draft(schema, kind === 'mutation' ? [] : Object.values(seeds), random);
    const fields = kind === 'query' ? 1 + random.int(3) : 1;
    const body = Array.from({ length: fields }, () => draft.field(type, 0)).join(' ');
    return { kind, query: `${kind} ${draft.declared()} { ${body} }`, variables: draft.variables };
  };
}

class Draft {
  readonly variables: Record<string, unknown> = {};
  readonly #types: string[] = [];

  constructor(
    readonly schema: GraphQLSchema,
    readonly ids: readonly string[],
    readonly random: Random,
  ) {}

  declared(): string {
    return this.#types.length > 0 ? `(${this.#types.join(', ')})` : '';
  }

  field(type: GraphQLNamedType, depth: number): string {
    if (!isObjectType(type) && !isInterfaceType(type)) return '__typename';
    const { name, args, type: result } = pick(this.random, Object.values(type.getFields()));
    const given = args.filter((arg) => isNonNullType(arg.type) || this.random.int(2) === 0);
    const call =
      given.length > 0 ? `(${given.map((arg) => `${arg.name}: $${this.#declare(arg)}`).join(', ')})` : '';
    return `f${this.#types.length}_${this.random.int(1e6)}: ${name}${call}${this.#selection(getNamedType(result), depth + 1)}`;
  }

  #selection(type: GraphQLNamedType, depth: number): string {
    if (isLeafType(type)) return '';
    if (depth >= MAX_DEPTH) return ' { __typename }';
    const fields = Array.from({ length: 1 + this.random.int(3) }, () => {
      if (!isAbstractType(type)) return this.field(type, depth);
      const possible = pick(this.random, this.schema.getPossibleTypes(type));
      return `... on ${possible.name} { ${this.field(possible, depth)} }`;
    });
    return ` { __typename ${fields.join(' ')} }`;
  }

  #declare(arg: GraphQLArgument): string {
    const name = `v${this.#types.length}`;
    this.#types.push(`$${name}: ${arg.type}`);
    this.variables[name] = this.#value(arg.type, 0);
    return name;
  }

  #value(type: GraphQLInputType, depth: number): unknown {
    const { random } = this;
    if (!isNonNullType(type) && random.int(8) === 0) return null;
    const nullable = getNullableType(type);
    if (isListType(nullable))
      return Array.from({ length: random.int(4) }, () => this.#value(nullable.ofType, depth + 1));
    if (isInputObjectType(nullable))
      return Object.fromEntries(
        Object.values(nullable.getFields())
          .filter((field) => isNonNullType(field.type) || field.name in SMALL || random.int(3) === 0)
          .map((field) => [field.name, SMALL[field.name] ?? this.#value(field.type, depth + 1)]),
      );
    if (isEnumType(nullable)) return pick(random, nullable.getValues()).name;
    switch (nullable.name) {
      case 'Int':
        return Math.trunc(
          pick(
            random,
            NUMBERS.filter((n) => Math.abs(n) <= 2 ** 31),
          ),
        );
      case 'Float':
        return pick(random, NUMBERS);
      case 'Boolean':
        return random.int(2) === 0;
      case 'ID':
        return this.ids.length > 0 && random.int(4) > 0
          ? pick(random, this.ids)
          : pick(random, HOSTILE_STRINGS);
      default:
        return random.int(3) === 0
          ? pick(random, ['birth_city', 'loss', 'x', 'A b'])
          : pick(random, HOSTILE_STRINGS);
    }
  }
}

function pick<T>(random: Random, items: readonly T[]): T {
  return items[random.int(items.length)]!;
}
