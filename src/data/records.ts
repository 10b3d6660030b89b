/** Objects as tables write them, one a row. */

/**
 * The object without the keys whose value is null, which is how pandas and the datasets library write a cell that a row
 * lacks; anything else as it is.
 */
export function withoutNulls(value: unknown): unknown {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return value;
  return Object.fromEntries(Object.entries(value).filter(([, field]) => field !== null));
}
