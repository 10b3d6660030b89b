/** Reading the parts of a `tokenizer.json`, which may be anything at all. */

/** A part: an object, with its kind in `type`. */
export type Config = Readonly<Record<string, unknown>> & { type: string };

/** @throws Error when it is not a part. */
export function asConfig(value: unknown, what: string): Config {
  if (typeof value === 'object' && value !== null && 'type' in value && typeof value.type === 'string')
    return value as Config;
  throw new Error(`its ${what} is not an object with a type`);
}

/** The parts of a sequence; none where there is no part. @throws Error when it is neither. */
export function partsOf(value: unknown, what: string, list: string): Config[] {
  if (value === null || value === undefined) return [];
  const config = asConfig(value, what);
  if (config.type !== 'Sequence') return [config];
  const parts = config[list];
  if (!Array.isArray(parts)) throw new Error(`its ${what} of type Sequence has no ${list}`);
  return parts.flatMap((part) => partsOf(part, what, list));
}

/** The value of a field, or the fallback where there is none. @throws Error when it is of another type. */
export function field<T extends string | number | boolean>(config: Config, name: string, fallback: T): T {
  const value = config[name] ?? fallback;
  if (typeof value === typeof fallback) return value as T;
  throw new Error(`${name} of ${config.type} is ${shown(value)}; accepted is a ${typeof fallback}`);
}

/** @throws Error when the field has none of the values. */
export function choose<T extends string>(
  config: Config,
  name: string,
  values: readonly T[],
  fallback?: T,
): T {
  const value = config[name] ?? fallback;
  const found = values.find((each) => each === value);
  if (found !== undefined) return found;
  throw new Error(`${name} of ${config.type} is ${shown(value)}; accepted are ${values.join(', ')}`);
}

/** The error for a part that is not computed here. */
export function unsupported(what: string, { type }: Config, supported: readonly string[]): Error {
  return new Error(`its ${what} ${shown(type)} is not supported; supported are ${supported.join(', ')}`);
}

/** A value as messages show it. */
export function shown(value: unknown): string {
  const text = JSON.stringify(value) ?? String(value);
  return text.length > 100 ? `${text.slice(0, 100)} …` : text;
}
