/** Which of the weights that post-training passed through are kept. */
import type { Arrays } from '../contract/arrays.ts';

/** A look at the validation prompts. */
export interface Candidate {
  step: number;
  /** Share of validation prompts whose strongest slot is their concept's. */
  accuracy: number;
  /** Post-training loss on the validation prompts. */
  loss: number;
}

export interface Best extends Candidate {
  weights: Arrays;
}

/** Higher slot accuracy wins, equal accuracy goes by the lower loss, and the earlier of equals stays. */
export function isBetter(candidate: Candidate, best: Candidate | null): boolean {
  if (!best) return true;
  if (candidate.accuracy !== best.accuracy) return candidate.accuracy > best.accuracy;
  return candidate.loss < best.loss;
}
