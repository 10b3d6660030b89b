/**
 * What zod schemas say of settings in words: names and meanings of types, and what is accepted. The API's types, their
 * descriptions and the messages of errors are made of it.
 */
import { z } from 'zod';

/** A type with a name of its own. */
export interface NamedType {
  name: string;
  description: string;
  /** Of an enum: what each value means. */
  values?: Readonly<Record<string, string>>;
}

const types = z.registry<NamedType>();
const hints = z.registry<{ fallback?: string; distinct?: true }>();

/** An enum whose values are described. */
export function namedEnum<const Values extends Readonly<Record<string, string>>>(
  name: string,
  description: string,
  values: Values,
) {
  type Key = keyof Values & string;
  return z.enum(Object.keys(values) as [Key, ...Key[]]).register(types, { name, description, values });
}

/** Some of the values of a described enum; it stays the same type. */
export function someOf<
  Values extends Record<string, string>,
  const Keys extends readonly (keyof Values & string)[],
>(all: z.ZodEnum<Values>, keys: Keys) {
  return z.enum(keys).register(types, types.get(all)!);
}

/** An object of settings, none besides. */
export function namedObject<Shape extends z.ZodRawShape>(name: string, description: string, shape: Shape) {
  return z.strictObject(shape).register(types, { name, description });
}

export const whole = (min: number, max: number) => z.int().min(min).max(max);
export const count = (max: number) => whole(1, max);
export const number = (min: number, max: number) => z.number().min(min).max(max);

/** A list none of whose items is there twice. */
export function distinct<Item extends z.ZodType>(
  item: Item,
  { min = 0, max }: { min?: number; max?: number } = {},
) {
  const list = z.array(item).min(min);
  return (max === undefined ? list : list.max(max))
    .superRefine((items, ctx) => {
      const twice = items.find((item, i) => items.indexOf(item) < i);
      if (twice !== undefined) ctx.addIssue({ code: 'custom', message: `must not repeat ${twice}` });
    })
    .register(hints, { distinct: true });
}

/** A setting whose default is made elsewhere: how the API words it. */
export function withFallback<Schema extends z.ZodType>(schema: Schema, fallback: string): Schema {
  hints.add(schema, { ...hints.get(schema), fallback });
  return schema;
}

/**
 * For a rule between settings: it is checked whenever those that it reads are acceptable, also where others are not.
 */
export function reading(...keys: string[]) {
  return {
    when: ({ issues }: z.core.ParsePayload) =>
      !issues.some(({ code, path }) =>
        path?.length ? keys.includes(String(path[0])) : code === 'invalid_type',
      ),
  };
}

/**
 * Stored settings as this version reads them: what the version that stored them did not have yet gets its default, also
 * within settings of settings; all else stays as it was stored.
 */
export function withDefaults<T extends object>(schema: z.ZodObject, stored: T): T {
  const completed = Object.fromEntries(Object.entries(stored)) as Record<string, unknown>;
  for (const [key, field] of Object.entries(schema.shape)) {
    const bare = unwrap(field);
    const value = completed[key];
    if (value === undefined) {
      const fallback = z.safeParse(field, undefined);
      if (fallback.success) completed[key] = fallback.data;
    } else if (bare instanceof z.ZodObject && value !== null) completed[key] = withDefaults(bare, value);
  }
  return completed as T;
}

/** The schema without its default and whether it may be left out. */
export function unwrap(schema: z.core.$ZodType): z.core.$ZodType {
  const isWrapper =
    schema instanceof z.ZodDefault ||
    schema instanceof z.ZodPrefault ||
    schema instanceof z.ZodOptional ||
    schema instanceof z.ZodNullable;
  return isWrapper ? unwrap(schema.unwrap()) : schema;
}

/** Name and meaning of an enum's or object's type; undefined where it has none. */
export function namedTypeOf(schema: z.core.$ZodType): NamedType | undefined {
  return types.get(unwrap(schema));
}

/** What a setting means. */
export function meaningOf(schema: z.core.$ZodType): string | undefined {
  return z.globalRegistry.get(schema)?.description ?? z.globalRegistry.get(unwrap(schema))?.description;
}

/** How the default is worded; undefined where there is none. */
export function fallbackOf(schema: z.core.$ZodType): string | undefined {
  const own = hints.get(schema)?.fallback ?? hints.get(unwrap(schema))?.fallback;
  return own ?? (schema instanceof z.ZodDefault ? wordValue(schema.def.defaultValue) : undefined);
}

export function wordValue(value: unknown): string {
  return Array.isArray(value) ? `[${value.join(', ')}]` : String(value);
}

/** Bounds of a number, or of a list's length; undefined where there is none. */
export interface Bounds {
  minimum?: number;
  maximum?: number;
  exclusiveMinimum?: number;
  exclusiveMaximum?: number;
}

export function boundsOf(schema: z.core.$ZodType): Bounds {
  const bounds: Bounds = {};
  for (const { _zod } of unwrap(schema)._zod.def.checks ?? []) {
    const check = _zod.def as z.core.$ZodCheckDef & {
      value: number;
      inclusive: boolean;
      minimum: number;
      maximum: number;
    };
    if (check.check === 'min_length') bounds.minimum = check.minimum;
    if (check.check === 'max_length') bounds.maximum = check.maximum;
    if (check.check === 'greater_than')
      bounds[check.inclusive ? 'minimum' : 'exclusiveMinimum'] = check.value;
    if (check.check === 'less_than') bounds[check.inclusive ? 'maximum' : 'exclusiveMaximum'] = check.value;
  }
  return bounds;
}

/** Which values a setting may take, such as `1–48` or `above 0, at most 1`; null where its type says it all. */
export function acceptedOf(schema: z.core.$ZodType): string | null {
  const bare = unwrap(schema);
  if (bare instanceof z.ZodNumber) return wordBounds(boundsOf(bare));
  if (bare instanceof z.ZodEnum) {
    const options = bare.options as string[];
    const all = Object.keys(namedTypeOf(bare)?.values ?? {});
    return options.length < all.length ? options.join(', ') : null;
  }
  if (!(bare instanceof z.ZodArray)) return null;
  const each = acceptedOf(bare.element);
  const { minimum = 0, maximum } = boundsOf(bare);
  const length =
    minimum === 0 && maximum === undefined
      ? null
      : `${wordBounds({ minimum: minimum || undefined, maximum })} of them`;
  const parts = [length, each && `each ${each}`, hints.get(bare)?.distinct && 'none twice'].filter(Boolean);
  return parts.length > 0 ? parts.join(', ') : null;
}

function wordBounds({ minimum, maximum, exclusiveMinimum, exclusiveMaximum }: Bounds): string | null {
  const word = (value: number) => value.toLocaleString('en-US', { maximumFractionDigits: 20 });
  if (minimum !== undefined && maximum !== undefined && exclusiveMaximum === undefined)
    return minimum < 0 ? `${word(minimum)} to ${word(maximum)}` : `${word(minimum)}–${word(maximum)}`;
  const parts = [
    exclusiveMinimum !== undefined && `above ${word(exclusiveMinimum)}`,
    minimum !== undefined && `at least ${word(minimum)}`,
    exclusiveMaximum !== undefined && `below ${word(exclusiveMaximum)}`,
    maximum !== undefined && `at most ${word(maximum)}`,
  ].filter(Boolean);
  return parts.length > 0 ? parts.join(', ') : null;
}
