/** Some settings over others. */

/** Any of the settings, also of those within settings. */
export type Part<T> = {
  [K in keyof T]?: T[K] extends readonly unknown[] ? T[K] : T[K] extends object ? Part<T[K]> : T[K];
};

/** `changes` over `base`, setting by setting, also within settings of settings; undefined counts as left out. */
export function merge<T extends object>(base: T, changes: Part<T> | undefined): T {
  const merged = Object.fromEntries(Object.entries(base));
  for (const [key, value] of Object.entries(changes ?? {})) {
    if (value === undefined) continue;
    const before = merged[key];
    merged[key] = isRecord(value) && isRecord(before) ? merge(before, value) : value;
  }
  return merged as T;
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
