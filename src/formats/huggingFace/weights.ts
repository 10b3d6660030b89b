/** Weights between the order of a checkpoint and that of this engine, tensor by tensor. */
import type { StoredWeight } from './architectures/architecture.ts';

/** Rows and columns that are moved together, so that both sides of a transposition stay in the cache. */
const TILE = 64;

/**
 * Puts the tensors of a weight beside one another, transposed; `parts[i]` in the order of `parts[i].shape`. Returns the
 * weight's values.
 */
export function joinParts(weight: StoredWeight, parts: readonly Float32Array[]): Float32Array {
  const joined = new Float32Array(parts.reduce((sum, { length }) => sum + length, 0));
  eachMove(weight, (part, from, to) => {
    joined[to] = parts[part]![from]!;
  });
  return joined;
}

/** The tensors that `joinParts` makes this weight of. */
export function splitParts(weight: StoredWeight, joined: Float32Array): Float32Array[] {
  const parts = weight.parts.map(({ shape }) => new Float32Array(shape.reduce((a, b) => a * b, 1)));
  eachMove(weight, (part, from, to) => {
    parts[part]![from] = joined[to]!;
  });
  return parts;
}

/** Every value: its place in its part, and in the weight. */
function eachMove(
  { parts, shape, columns }: StoredWeight,
  move: (part: number, from: number, to: number) => void,
): void {
  const width = shape.at(-1)!;
  parts.forEach(({ shape: [rows, inputs = 1] }, part) => {
    const columnOf = Int32Array.from({ length: rows! }, (_, row) => columns!(part, row));
    for (let firstRow = 0; firstRow < rows!; firstRow += TILE)
      for (let firstInput = 0; firstInput < inputs; firstInput += TILE)
        for (let row = firstRow; row < Math.min(rows!, firstRow + TILE); row++)
          for (let input = firstInput; input < Math.min(inputs, firstInput + TILE); input++)
            move(part, row * inputs + input, input * width + columnOf[row]!);
  });
}
