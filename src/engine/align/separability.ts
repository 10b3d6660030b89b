/** How well numbers tell the prompts of one concept from all others. */

/** The concept of each score, and how many scores each concept has. */
export interface ConceptLabels {
  concepts: Int32Array;
  counts: readonly number[];
}

export function labelConcepts(concepts: readonly number[], nConcepts: number): ConceptLabels {
  const counts = new Array<number>(nConcepts).fill(0);
  for (const concept of concepts) counts[concept]!++;
  return { concepts: Int32Array.from(concepts), counts };
}

/** Most scores that `createAuroc` ranks: an index shares the bits of a double with its score. */
export const MAX_SCORES = 2 ** 21;

/**
 * Makes a function from scores `[n]` to each concept's AUROC: the probability that a prompt of the concept scores above
 * one of another, ties counting half (Mann and Whitney 1947). NaN where the concept has no prompt or all of them.
 */
export function createAuroc({ concepts, counts }: ConceptLabels): (scores: Float32Array) => Float64Array {
  const n = concepts.length;
  const keys = new Float64Array(n);
  const floats = new Float32Array(1);
  const bits = new Uint32Array(floats.buffer);
  return (scores) => {
    for (let i = 0; i < n; i++) {
      floats[0] = scores[i]! + 0; // −0 is 0
      const word = bits[0]!;
      // Orders as the floats do; the index in the low bits makes a sort of numbers a sort of indices.
      const ordered = word >= 0x80000000 ? 0xffffffff - word : word + 0x80000000;
      keys[i] = ordered * MAX_SCORES + i;
    }
    keys.sort();
    const rankSums = new Float64Array(counts.length);
    for (let start = 0, end = 0; start < n; start = end) {
      const score = Math.floor(keys[start]! / MAX_SCORES);
      while (end < n && Math.floor(keys[end]! / MAX_SCORES) === score) end++;
      const rank = (start + 1 + end) / 2; // the mean of ranks start + 1 … end
      for (let i = start; i < end; i++) rankSums[concepts[keys[i]! % MAX_SCORES]!]! += rank;
    }
    return rankSums.map((sum, concept) => {
      const own = counts[concept]!;
      return (sum - (own * (own + 1)) / 2) / (own * (n - own));
    });
  };
}

/** `max(0, 2 · AUROC − 1)`: 1 tells the concept without error, 0 no better than chance or by firing less. */
export function separability(auroc: number): number {
  return Math.max(0, 2 * auroc - 1);
}

/** The same; null where AUROC is not defined. */
export function separabilityOrNull(auroc: number): number | null {
  return Number.isNaN(auroc) ? null : separability(auroc);
}
