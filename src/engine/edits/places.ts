/** Where edits are made, in steps: 0 is the last prompt token, n the n-th token made, tokens before it are below 0. */
import type { EditPlace } from '../contract/edits.ts';

export interface Coverage {
  /** The first step that may be covered; of a prompt of `length` tokens, at least `1 − length`. */
  first: number;
  covers(step: number): boolean;
}

/** @param length Tokens of the prompt. */
export function coverageOf(place: EditPlace, length: number): Coverage {
  const { positions, tokens } = place;
  if (tokens) {
    const steps = new Set(tokens.map((token) => token + 1 - length));
    return { first: Math.min(...steps), covers: (step) => steps.has(step) };
  }
  const first = place.fromStep ?? (positions === 'ALL' ? 1 - length : 0);
  const last = positions === 'LAST_TOKEN' ? 0 : (place.untilStep ?? Number.POSITIVE_INFINITY);
  return { first, covers: (step) => step >= first && step <= last };
}
