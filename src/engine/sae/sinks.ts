/** Positions that attention only parks on: their activations are so long that they outweigh all others together. */

/** A row longer than this many medians is a sink; ordinary ones stay below 2. */
const SINK_MEDIANS = 3;

/** The norm of each row of `h [n, width]`. */
export function rowNorms(h: Float32Array, width: number): Float64Array {
  return Float64Array.from({ length: h.length / width }, (_, row) => {
    let squares = 0;
    for (let i = row * width; i < (row + 1) * width; i++) squares += h[i]! * h[i]!;
    return Math.sqrt(squares);
  });
}

/** The norm above which a row is a sink, by the median of `norms`; 0 rows have none. */
export function sinkNorm(norms: Float64Array): number {
  if (norms.length === 0) return Number.POSITIVE_INFINITY;
  const sorted = norms.toSorted();
  const middle = sorted.length >> 1;
  const median = sorted.length % 2 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
  return SINK_MEDIANS * median;
}

/** Which rows of `h [n, width]` are not sinks, ascending; without a `limit`, by the median of these. */
export function withoutSinks(h: Float32Array, width: number, limit?: number): number[] {
  const norms = rowNorms(h, width);
  limit ??= sinkNorm(norms);
  const kept: number[] = [];
  norms.forEach((norm, row) => {
    if (norm <= limit) kept.push(row);
  });
  return kept;
}
