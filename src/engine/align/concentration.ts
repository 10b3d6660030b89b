/** Over how many latents a concept is spread, as the authors of the paper measure it: EffFeat and Top1Conc. */
import type { Concentration } from '../contract/alignment.ts';

/** Latents `[nConcepts, width]` summed over the rows of each concept, in part by part. */
export class ConceptSums {
  readonly #width: number;
  readonly #sums: Float64Array;
  readonly #rows: number[];

  constructor(nConcepts: number, width: number) {
    this.#width = width;
    this.#sums = new Float64Array(nConcepts * width);
    this.#rows = new Array<number>(nConcepts).fill(0);
  }

  /** `sums [nConcepts, width]` over rows of these concepts. */
  add(sums: Float32Array, concepts: readonly number[]): void {
    for (let i = 0; i < sums.length; i++) this.#sums[i]! += sums[i]!;
    for (const concept of concepts) this.#rows[concept]!++;
  }

  /** By concept, over the latents from `first` on; null where nothing is above 0. */
  concentrations(first = 0): (Concentration | null)[] {
    return this.#rows.map((rows, concept) => {
      const [from, to] = [concept * this.#width + first, (concept + 1) * this.#width];
      return rows === 0 ? null : concentrationOf(this.#sums.subarray(from, to));
    });
  }
}

/**
 * Of a concept's mean activation of each latent, or a multiple of it: with p the share of each in their sum, negative
 * ones counting 0, `effFeat = exp(−Σ p log p)` and `top1Conc = max p`. Null where none is above 0.
 */
export function concentrationOf(means: ArrayLike<number>): Concentration | null {
  const positive = Array.from(means, (mean) => Math.max(0, mean));
  const total = positive.reduce((sum, mean) => sum + mean, 0);
  if (total === 0) return null;
  let entropy = 0;
  let top = 0;
  for (const mean of positive) {
    const share = mean / total;
    if (share > 0) entropy -= share * Math.log(share);
    top = Math.max(top, share);
  }
  return { effFeat: Math.exp(entropy), top1Conc: top };
}
