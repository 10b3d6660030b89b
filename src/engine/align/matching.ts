/** The best one-to-one matching of a square matrix's rows and columns. */

/**
 * Column of each row such that the sum of the chosen entries is largest: the Hungarian method by shortest augmenting
 * paths with potentials (Jonker & Volgenant 1987), O(n³). `scores` is `n × n`, finite.
 */
export function bestMatching(scores: readonly (readonly number[])[]): number[] {
  const n = scores.length;
  const state: Potentials = {
    rows: new Float64Array(n + 1),
    columns: new Float64Array(n + 1),
    // Row matched to each column, both from 1; column 0 is the start of the search.
    rowOf: new Int32Array(n + 1),
  };
  for (let row = 1; row <= n; row++) augment(scores, row, state);
  const columnOf = new Array<number>(n).fill(0);
  for (let column = 1; column <= n; column++) columnOf[state.rowOf[column]! - 1] = column - 1;
  return columnOf;
}

interface Potentials {
  rows: Float64Array;
  columns: Float64Array;
  rowOf: Int32Array;
}

/** Adds one row to the matching along the cheapest alternating path (costs are negated scores). */
function augment(scores: readonly (readonly number[])[], row: number, state: Potentials): void {
  const { rows, columns, rowOf } = state;
  const n = scores.length;
  const slack = new Float64Array(n + 1).fill(Number.POSITIVE_INFINITY);
  const previous = new Int32Array(n + 1);
  const visited = new Array<boolean>(n + 1).fill(false);
  rowOf[0] = row;
  let column = 0;
  do {
    visited[column] = true;
    const from = rowOf[column]!;
    let next = 0;
    let step = Number.POSITIVE_INFINITY;
    for (let j = 1; j <= n; j++) {
      if (visited[j]) continue;
      const reduced = -scores[from - 1]![j - 1]! - rows[from]! - columns[j]!;
      if (reduced < slack[j]!) {
        slack[j] = reduced;
        previous[j] = column;
      }
      if (slack[j]! < step) {
        step = slack[j]!;
        next = j;
      }
    }
    for (let j = 0; j <= n; j++) {
      if (visited[j]) {
        rows[rowOf[j]!]! += step;
        columns[j]! -= step;
      } else slack[j]! -= step;
    }
    column = next;
  } while (rowOf[column] !== 0);
  while (column !== 0) {
    rowOf[column] = rowOf[previous[column]!]!;
    column = previous[column]!;
  }
}
