/** What training remembers of the free latents from step to step, besides weights and moments. */

import type { AlignmentSettings } from '../contract/alignmentSettings.ts';
import type { Arrays } from '../contract/arrays.ts';
import type { SaeConfig } from '../contract/sae.ts';
import { THRESHOLD } from './autoencoder.ts';
import { NOTHING_KEPT } from './ops.ts';

export interface LatentHistory {
  /** Batches since each free latent last fired, `[nFree]`; kept only where dead latents are revived. */
  sinceFired: Int32Array;
  /** The threshold of `BATCH_TOPK` so far, and over how many batches. */
  threshold: number;
  batches: number;
}

/** Each batch weighs at least this much, so that the threshold follows the weights while they learn. */
const THRESHOLD_RATE = 0.1;

export function startHistory({ nFree }: SaeConfig): LatentHistory {
  return { sinceFired: new Int32Array(nFree), threshold: 0, batches: 0 };
}

/** Whether training looks for dead latents: a linear one is never dead. */
export function revivesDead({ weights, activation }: AlignmentSettings): boolean {
  return weights.aux > 0 && activation !== 'LINEAR';
}

/** `dead [nFree]`: 1 where a latent has not fired in the last `deadAfter` batches. */
export function deadLatents({ sinceFired }: LatentHistory, deadAfter: number): Arrays {
  const data = Float32Array.from(sinceFired, (batches) => Number(batches >= deadAfter));
  return { dead: { data, shape: [data.length] } };
}

/** Share of free latents that have not fired in the last `deadAfter` batches. */
export function unfiredShare({ sinceFired }: LatentHistory, deadAfter: number): number {
  return sinceFired.reduce((sum, batches) => sum + Number(batches >= deadAfter), 0) / sinceFired.length;
}

/** Notes on how many rows of a batch each latent fired. */
export function noteFired({ sinceFired }: LatentHistory, rowsFired: ArrayLike<number>): void {
  for (let i = 0; i < sinceFired.length; i++) sinceFired[i] = rowsFired[i]! > 0 ? 0 : sinceFired[i]! + 1;
}

/**
 * Takes the smallest value that `BATCH_TOPK` kept of a batch into its threshold: the mean over the first ten
 * batches, from then on a moving average.
 */
export function noteSmallest(history: LatentHistory, smallest: number): void {
  if (smallest >= NOTHING_KEPT) return;
  history.batches += 1;
  history.threshold += (smallest - history.threshold) * Math.max(1 / history.batches, THRESHOLD_RATE);
}

/** The threshold as an array, for `BATCH_TOPK` alone. */
export function thresholdOf({ activation }: SaeConfig, { threshold }: LatentHistory): Arrays {
  return activation === 'BATCH_TOPK' ? { [THRESHOLD]: { data: Float32Array.of(threshold), shape: [1] } } : {};
}
