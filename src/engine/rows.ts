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

/** The rows of both. */
export function joinRows(first: Float32Array, second: Float32Array): Float32Array {
  const all = new Float32Array(first.length + second.length);
  all.set(first);
  all.set(second, first.length);
  return all;
}
