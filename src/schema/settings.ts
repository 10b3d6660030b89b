/** Makes a GraphQL input type and an output type out of one table of settings, so that the two cannot drift. */
import type { EnumRef, InputObjectRef, ObjectRef } from '@pothos/core';
import { builder, type SchemaTypes } from './builder.ts';

type Types = PothosSchemaTypes.ExtendDefaultTypes<SchemaTypes>;
type Scalar = 'Int' | 'Float' | 'Boolean';

/** One setting: its type and what it means; `nested` holds the two types of an object-valued setting. */
export interface Setting {
  type: Scalar | ['Float'] | ['String'] | EnumRef<Types, string> | [EnumRef<Types, string>] | Nested;
  description: string;
  /** Whether it may be without a value where it does not apply. */
  nullable?: true;
}

export interface Nested {
  input: InputObjectRef<Types, object>;
  output: ObjectRef<Types, object>;
}

/** Every key of the zod object must be described, and none besides. */
export type SettingsTable<T> = Record<keyof T, Setting>;

const isNested = (type: Setting['type']): type is Nested => typeof type === 'object' && 'output' in type;

/**
 * Adds `<name>Input`, all of whose fields may be left out, and `<name>`, which shows the settings in force.
 * `defaultOf` words the value that stands in for a field left out; null where its own fields say so.
 */
export function addSettings<T extends object>(
  name: string,
  description: string,
  table: SettingsTable<T>,
  defaultOf: (key: keyof T & string) => string | null,
): { input: InputObjectRef<Types, Partial<T>>; output: ObjectRef<Types, T> } {
  const entries = Object.entries(table) as [keyof T & string, Setting][];
  const input = builder.inputType(`${name}Input`, {
    description: `${description} Whatever is left out keeps its default.`,
    fields: (t) =>
      Object.fromEntries(
        entries.map(([key, setting]) => {
          const fallback = defaultOf(key);
          const text =
            fallback === null ? setting.description : `${setting.description} Default: ${fallback}.`;
          const type = isNested(setting.type) ? setting.type.input : setting.type;
          return [key, t.field({ type: type as 'Int', required: false, description: text })];
        }),
      ),
  });
  const output = builder.objectRef<T>(name).implement({
    description: `${description} As they were in force, defaults filled in.`,
    fields: (t) =>
      Object.fromEntries(
        entries.map(([key, setting]) => {
          const type = isNested(setting.type) ? setting.type.output : setting.type;
          return [
            key,
            t.field({
              type: type as 'Int',
              nullable: setting.nullable ?? false,
              description: setting.description,
              resolve: (settings) => settings[key] as never,
            }),
          ];
        }),
      ) as never,
  });
  return { input: input as never, output: output as never };
}
