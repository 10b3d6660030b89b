/** What the converter did to weights, taken back; every function gives a new array in the checkpoint's order. */
import type { Undo } from './architectures.ts';

export interface Heads {
  queries: number;
  keys: number;
}

/**
 * @param shape of the tensor in the file, rows first; vectors have one dimension.
 */
export function undoConversion(
  undo: Undo,
  values: Float32Array,
  shape: readonly number[],
  heads: Heads,
): Float32Array {
  const [rows, width = 1] = shape as [number, number?];
  switch (undo) {
    case 'PLUS_ONE':
      return values.map((value) => value - 1);
    case 'TRANSPOSED':
      return shape.length === 1 ? values : transpose(values, rows, width);
    case 'ROTARY_QUERIES':
      return moveRows(values, width, (row) => halvesRow(row, rows / heads.queries));
    case 'ROTARY_KEYS':
      return moveRows(values, width, (row) => halvesRow(row, rows / heads.keys));
    case 'HEADS_APART':
      return moveRows(values, width, (row) => interleavedRow(row, rows / 3, heads.queries));
  }
}

/** Row `2 i + half` of a head in the file is row `half · dHead / 2 + i` in the checkpoint. */
function halvesRow(row: number, dHead: number): number {
  const within = row % dHead;
  return row - within + (within % 2) * (dHead / 2) + (within >> 1);
}

/** All queries, then keys, then values in the file; in the checkpoint each head's three beside one another. */
function interleavedRow(row: number, rowsOfPart: number, nHeads: number): number {
  const dHead = rowsOfPart / nHeads;
  const part = Math.trunc(row / rowsOfPart);
  const head = Math.trunc((row % rowsOfPart) / dHead);
  return (head * 3 + part) * dHead + (row % dHead);
}

function moveRows(values: Float32Array, width: number, to: (row: number) => number): Float32Array {
  const moved = new Float32Array(values.length);
  for (let row = 0; row < values.length / width; row++)
    moved.set(values.subarray(row * width, (row + 1) * width), to(row) * width);
  return moved;
}

function transpose(values: Float32Array, rows: number, width: number): Float32Array {
  const turned = new Float32Array(values.length);
  for (let row = 0; row < rows; row++)
    for (let column = 0; column < width; column++)
      turned[column * rows + row] = values[row * width + column]!;
  return turned;
}
