import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import {
  type GraphQLNamedType,
  type GraphQLSchema,
  isEnumType,
  isInputObjectType,
  isInterfaceType,
  isIntrospectionType,
  isObjectType,
  isSpecifiedScalarType,
  Kind,
  parse,
  validate,
} from 'graphql';
import { describe, expect, it } from 'vitest';
import * as operations from '../../bench/results/operations.ts';
import { buildSchema, renderSchema } from '../../src/schema/schema.ts';
import { WELCOME_QUERY } from '../../src/server/welcome.ts';
import { contractOperations } from './contract.ts';

const at = (path: string) => fileURLToPath(new URL(`../../${path}`, import.meta.url));
const schema = buildSchema();

describe('schema.graphql', () => {
  it('is what the code builds (if not: npm run schema)', async () => {
    expect(await readFile(at('schema.graphql'), 'utf8')).toBe(renderSchema(schema));
  });

  it('describes every type, field, argument, enum value and input field', () => {
    expect(undescribed(schema)).toEqual([]);
  });

  it('says of each setting what stands in for it, from the settings themselves', () => {
    const settings = schema.getType('ModelSettingsInput');
    expect(isInputObjectType(settings) && settings.getFields().dModel?.description).toContain('Default: 64.');
    const weights = schema.getType('LossWeightsInput');
    expect(isInputObjectType(weights) && weights.getFields().counterfactual?.description).toContain(
      'Default: 0 in PAPER, 0 in AUTHORS, 3 in COUNTERFACTUAL.',
    );
  });
});

it('says at its head what to do first, and GraphiQL opens on operations that it takes', () => {
  expect(schema.description).toContain('First steps');
  const { definitions } = parse(WELCOME_QUERY);
  // One by one, as they are played.
  for (const definition of definitions)
    expect(validate(schema, { kind: Kind.DOCUMENT, definitions: [definition] })).toEqual([]);
  for (const [field] of schema.description!.matchAll(/(?<=`)[a-z]\w+(?=`)/gi)) {
    const known = [schema.getQueryType(), schema.getMutationType(), schema.getSubscriptionType()];
    const isRoot = known.some((type) => field in type!.getFields());
    expect(isRoot || ['slots', 'swaps', 'input'].includes(field), field).toBe(true);
  }
});

it('answers what the results ask of it', () => {
  const asked = Object.entries(operations).flatMap(([name, text]) =>
    typeof text === 'string' && text.includes('{') && !/^[a-z]/.test(text) ? [[name, text] as const] : [],
  );
  expect(asked.length).toBeGreaterThan(10);
  const invalid = asked.flatMap(([name, text]) =>
    validate(schema, parse(text)).map(({ message }) => `${name}: ${message}`),
  );
  expect(invalid).toEqual([]);
});

describe('the contract', () => {
  it('validates', () => {
    const invalid = contractOperations().flatMap(({ file, name, text }) => {
      const errors = validate(schema, parse(text));
      return errors.length > 0 ? [`${file} ${name}: ${errors.map((e) => e.message).join('; ')}`] : [];
    });
    expect(invalid).toEqual([]);
  });
});

function undescribed(given: GraphQLSchema): string[] {
  const own = Object.values(given.getTypeMap()).filter(
    (type) => !isIntrospectionType(type) && !isSpecifiedScalarType(type),
  );
  return own.flatMap((type) => [...(type.description ? [] : [type.name]), ...undescribedMembers(type)]);
}

function undescribedMembers(type: GraphQLNamedType): string[] {
  if (isEnumType(type))
    return type
      .getValues()
      .filter((value) => !value.description)
      .map((value) => `${type.name}.${value.name}`);
  if (isInputObjectType(type)) return undescribedFields(type.name, Object.values(type.getFields()));
  if (!isObjectType(type) && !isInterfaceType(type)) return [];
  const fields = Object.values(type.getFields());
  return [
    ...undescribedFields(type.name, fields),
    ...fields.flatMap((field) => undescribedFields(`${type.name}.${field.name}`, field.args)),
  ];
}

function undescribedFields(
  owner: string,
  fields: readonly { name: string; description?: string | null }[],
): string[] {
  return fields.filter((field) => !field.description).map((field) => `${owner}.${field.name}`);
}
