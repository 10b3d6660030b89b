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
    // Most latents of most SAEs are 0 almost everywhere: zeros are one group of equals, and only the others are sorted.
    const zeros = new Float64Array(counts.length);
    let m = 0;
    for (let i = 0; i < n; i++) {
      if (scores[i] === 0) {
        zeros[concepts[i]!]!++;
        continue;
      }
      floats[0] = scores[i]!;
      const word = bits[0]!;
      // Orders as the floats do; the index in the low bits makes a sort of numbers a sort of indices.
      const ordered = word >= 0x80000000 ? 0xffffffff - word : word + 0x80000000;
      keys[m++] = ordered * MAX_SCORES + i;
    }
    const sorted = keys.subarray(0, m).sort();
    const rankSums = new Float64Array(counts.length);
    let below = 0; // scores below 0
    for (let start = 0, end = 0; start < m; start = end) {
      const score = Math.floor(sorted[start]! / MAX_SCORES);
      while (end < m && Math.floor(sorted[end]! / MAX_SCORES) === score) end++;
      if (score < 0x80000000) below = end;
      const before = score < 0x80000000 ? start : start + n - m;
      const rank = before + (end - start + 1) / 2; // the mean of ranks before + 1 … before + end - start
      for (let i = start; i < end; i++) rankSums[concepts[sorted[i]! % MAX_SCORES]!]! += rank;
    }
    const rankOfZero = below + (n - m + 1) / 2;
    for (let concept = 0; concept < zeros.length; concept++)
      rankSums[concept]! += zeros[concept]! * rankOfZero;
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
