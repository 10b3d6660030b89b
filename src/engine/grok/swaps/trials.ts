/** Which swaps are tried on two-hop questions. */

import { createRandom } from '../../../random.ts';
import type { TokenTrial } from '../../align/swapTrials.ts';
import type { EngineDataset } from '../../contract/dataset.ts';
import { indexValues, type TwoHopQuestion } from '../questions.ts';

/** One swap: at hop 1 behind the question, at hop 2 behind the question and E2. */
export interface HopTrial extends Omit<TokenTrial, 'expected'> {
  /** What is to follow. */
  expected: string;
  source: number;
  target: number;
}

/** Questions of a split with their activations at a hop, `[n, dModel]`. */
export interface AskedHop {
  hop: 0 | 1;
  questions: readonly TwoHopQuestion[];
  h: Float32Array;
}

/**
 * At most `count` of the possible swaps, drawn by the seed. Left out are targets that change nothing and those of which
 * a fact on the way is not known; `of` chooses among the others.
 */
export function drawHopTrials(
  { hop, questions, h }: AskedHop,
  { facts, concepts }: Pick<EngineDataset, 'facts' | 'concepts'>,
  of: (entity: string, concept: number) => boolean,
  { seed, count }: { seed: number; count: number },
): HopTrial[] {
  const lookUp = indexValues(facts);
  const dModel = h.length / questions.length;
  const trials = questions.flatMap(({ tokens, positions, relations, entities }, i) => {
    const source = relations[hop];
    const entity = entities[hop];
    const own = lookUp(entity, source);
    const expectedOf = (target: number): string | null => {
      const value = lookUp(entity, target);
      if (target === source || value === undefined || value === own || !of(entity, target)) return null;
      if (hop === 1) return value;
      const end = lookUp(value, relations[1]);
      return end === undefined ? null : `${value} ${end}`;
    };
    return concepts.flatMap((_, target) => {
      const expected = expectedOf(target);
      if (expected === null) return [];
      const row = h.subarray(i * dModel, (i + 1) * dModel);
      return [{ tokens: tokens.slice(0, positions[hop] + 1), h: row, source, target, expected }];
    });
  });
  return createRandom(seed, 'hop-swaps', hop).shuffle(trials).slice(0, count);
}
