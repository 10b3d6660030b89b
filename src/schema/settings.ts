/** Makes GraphQL types out of the contract's zod schemas, so that a setting is described in one place. */
import type { ArgumentRef, EnumRef, InputFieldRef, InputObjectRef, ObjectRef } from '@pothos/core';
import { z } from 'zod';
import {
  acceptedOf,
  fallbackOf,
  meaningOf,
  type NamedType,
  namedTypeOf,
  unwrap,
  wordValue,
} from '../engine/contract/describe.ts';
import { builder, type SchemaTypes } from './builder.ts';

type Types = PothosSchemaTypes.ExtendDefaultTypes<SchemaTypes>;
type InputFields = PothosSchemaTypes.InputFieldBuilder<Types, 'InputObject'>;
type FieldArgs = Pick<PothosSchemaTypes.RootFieldBuilder<Types, unknown>, 'arg'>;
type Schema = z.core.$ZodType;

/** The input type of settings, all of whose fields may be left out, and the type that shows those in force. */
export interface SettingsTypes<T extends object> {
  input: InputObjectRef<Types, Partial<T>>;
  output: ObjectRef<Types, T>;
}

/** Types of objects of settings that are part of others, of which several may have the same. */
const parts = new Map<string, SettingsTypes<object>>();

const enums = new Map<string, EnumRef<Types, string>>();

/** The GraphQL enum of a described enum of the contract; one, however often it is asked for. */
export function enumFrom<Values extends Record<string, string>>(
  schema: z.ZodEnum<Values>,
): EnumRef<Types, keyof Values & string> {
  const { name, description, values = {} } = nameOf(schema);
  const known = enums.get(name);
  if (known) return known as never;
  const described = Object.entries(values).map(([value, meaning]) => [value, { description: meaning }]);
  const made = builder.enumType(name, { description, values: Object.fromEntries(described) });
  enums.set(name, made as never);
  return made as never;
}

/**
 * Adds `<name>Input` and `<name>` of a described object. Defaults are those of `presets`, by name, where settings come
 * in several; otherwise those of the schema. `nullable`: settings that may be without a value where they do not apply.
 */
export function addSettings<T extends object>(
  schema: z.ZodObject,
  { presets, nullable = [] }: { presets?: Presets; nullable?: readonly (keyof T)[] } = {},
): SettingsTypes<T> {
  const { name, description } = nameOf(schema);
  const settings = settingsOf(schema, presets);
  const input = builder.inputType(`${name}Input`, {
    description: `${description} Whatever is left out keeps its default.`,
    fields: (t) => inputFields(t, settings),
  });
  const output = builder.objectRef<T>(name).implement({
    description: `${description} As they were in force, defaults filled in.`,
    fields: (t) =>
      Object.fromEntries(
        settings.map(({ key, meaning, types }) => [
          key,
          t.field({
            type: types.output as 'Int',
            nullable: nullable.includes(key as keyof T),
            description: meaning,
            resolve: (parent) => parent[key as keyof T] as never,
          }),
        ]),
      ) as never,
  });
  return { input: input as never, output };
}

/** Adds `<name>Input` of a described object alone. */
export function addInput<Schema extends z.ZodObject>(schema: Schema): InputObjectRef<Types, z.input<Schema>> {
  const { name, description } = nameOf(schema);
  const made = builder.inputType(`${name}Input`, {
    description,
    fields: (t) => inputFields(t, settingsOf(schema)),
  });
  return made as never;
}

/** The settings of a described object as fields of an input that has others besides. */
export function settingFields<Shape extends z.ZodRawShape>(t: InputFields, schema: z.ZodObject<Shape>) {
  return inputFields(t, settingsOf(schema)) as {
    [Key in keyof Shape]: InputFieldRef<Types, z.output<Shape[Key]> | null | undefined>;
  };
}

/** The settings of a described object as arguments of a field that has others besides. */
export function settingArgs<Shape extends z.ZodRawShape>(t: FieldArgs, schema: z.ZodObject<Shape>) {
  return Object.fromEntries(
    settingsOf(schema).map(({ key, meaning, limits, types, isRequired }) => [
      key,
      t.arg({ type: types.input as 'Int', required: isRequired as false, description: meaning + limits }),
    ]),
  ) as { [Key in keyof Shape]: ArgumentRef<Types, z.output<Shape[Key]> | null | undefined> };
}

type Presets = Readonly<Record<string, object>>;

interface Setting {
  key: string;
  meaning: string;
  /** What is accepted and what stands in for it; empty where its own fields say so. */
  limits: string;
  types: { input: unknown; output: unknown };
  /** Nothing stands in for it. */
  isRequired: boolean;
}

function settingsOf({ shape }: z.ZodObject, presets?: Presets): Setting[] {
  return Object.entries(shape).map(([key, field]) => {
    const own = presets && mapValues(presets, (preset) => preset[key as never]);
    const meaning = meaningOf(field);
    if (meaning === undefined) throw new TypeError(`the setting ${key} is not described`);
    const bare = unwrap(field);
    if (bare instanceof z.ZodObject)
      return { key, meaning, limits: '', types: partOf(bare, own), isRequired: false };
    const accepted = acceptedOf(field);
    const fallback = own && !isItself(own) ? wordPresets(own) : fallbackOf(field);
    const limits = `${accepted === null ? '' : ` Accepted: ${accepted}.`}${fallback === undefined ? '' : ` Default: ${fallback}.`}`;
    const type = typeOf(bare);
    const isRequired = fallback === undefined && !(field instanceof z.ZodOptional);
    return { key, meaning, limits, types: { input: type, output: type }, isRequired };
  });
}

/** One type, however many settings have such a part; its defaults are worded as the first of them has it. */
function partOf(schema: z.ZodObject, presets?: Presets): SettingsTypes<object> {
  const { name } = nameOf(schema);
  const known = parts.get(name) ?? addSettings(schema, { presets });
  parts.set(name, known);
  return known;
}

function inputFields(t: InputFields, settings: readonly Setting[]) {
  return Object.fromEntries(
    settings.map(({ key, meaning, limits, types, isRequired }) => [
      key,
      t.field({ type: types.input as 'Int', required: isRequired as false, description: meaning + limits }),
    ]),
  );
}

/** @throws {TypeError} for what no setting is yet. */
function typeOf(schema: Schema): unknown {
  const bare = unwrap(schema);
  if (bare instanceof z.ZodNumber) return bare.isInt ? 'Int' : 'Float';
  if (bare instanceof z.ZodBoolean) return 'Boolean';
  if (bare instanceof z.ZodString) return 'String';
  if (bare instanceof z.ZodEnum) return enumFrom(bare as never);
  if (bare instanceof z.ZodArray) return [typeOf(bare.element)];
  throw new TypeError(`GraphQL has no type for a setting of ${bare._zod.def.type}`);
}

/** Whether these are the values of the setting that names the preset. */
function isItself(defaults: Readonly<Record<string, unknown>>): boolean {
  return Object.entries(defaults).every(([preset, value]) => preset === value);
}

/** The default of each preset; one value where they agree. */
function wordPresets(defaults: Readonly<Record<string, unknown>>): string {
  const worded = Object.entries(defaults).map(([preset, value]) => ({ preset, value: wordValue(value) }));
  const isOne = worded.every(({ value }) => value === worded[0]?.value);
  return isOne ? worded[0]!.value : worded.map(({ preset, value }) => `${value} in ${preset}`).join(', ');
}

function nameOf(schema: Schema): NamedType {
  const named = namedTypeOf(schema);
  if (!named)
    throw new TypeError('a schema without a name cannot be a GraphQL type: see namedEnum, namedObject');
  return named;
}

function mapValues<V, W>(record: Readonly<Record<string, V>>, map: (value: V) => W): Record<string, W> {
  return Object.fromEntries(Object.entries(record).map(([key, value]) => [key, map(value)]));
}
