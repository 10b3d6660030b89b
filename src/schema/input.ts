/** What clients send as null means the same as leaving it out. */

/** A type whose nulls are absences. */
export type WithoutNulls<T> = T extends File
  ? T
  : T extends readonly (infer Item)[]
    ? WithoutNulls<Item>[]
    : T extends object
      ? { [K in keyof T]: WithoutNulls<Exclude<T[K], null>> }
      : T;

/** The input without its nulls, at any depth, so that services see one kind of absence. */
export function withoutNulls<T>(value: T): WithoutNulls<T> {
  return strip(value) as WithoutNulls<T>;
}

function strip(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(strip);
  if (!isPlainObject(value)) return value;
  const kept = Object.entries(value).filter(([, field]) => field !== null);
  return Object.fromEntries(kept.map(([key, field]) => [key, strip(field)]));
}

/** As GraphQL makes of an input; uploads are not. */
function isPlainObject(value: unknown): value is object {
  if (value === null || typeof value !== 'object') return false;
  const prototype = Object.getPrototypeOf(value);
  return prototype === null || prototype === Object.prototype;
}
