/** What clients send as null means the same as leaving it out. */

type WithoutNulls<T> = T extends Blob
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
  if (value === null || typeof value !== 'object' || value instanceof Blob) return value;
  const kept = Object.entries(value).filter(([, field]) => field !== null);
  return Object.fromEntries(kept.map(([key, field]) => [key, strip(field)]));
}
