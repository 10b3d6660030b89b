/** Row-major matrices as plain arrays. */

/** The activations `h [width]` of items as one array, `[n, width]`. */
export function stackRows(items: readonly { h: Float32Array }[], width: number): Float32Array {
  const all = new Float32Array(items.length * width);
  items.forEach(({ h }, i) => {
    all.set(h, i * width);
  });
  return all;
}

/** Rows of `values [n, width]` in the given order. */
export function takeRows(values: Float32Array, rows: readonly number[], width: number): Float32Array {
  const taken = new Float32Array(rows.length * width);
  rows.forEach((row, i) => {
    taken.set(values.subarray(row * width, (row + 1) * width), i * width);
  });
  return taken;
}

/** The rows of all, one behind the other. */
export function joinRows(parts: readonly Float32Array[]): Float32Array {
  const all = new Float32Array(parts.reduce((sum, { length }) => sum + length, 0));
  let offset = 0;
  for (const part of parts) {
    all.set(part, offset);
    offset += part.length;
  }
  return all;
}
