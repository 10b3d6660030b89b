/** Which swaps are tried on two-hop questions. */
import { createRandom } from '../../random.ts';
import type { EngineDataset } from '../contract/dataset.ts';
import type { TwoHopQuestion } from '../grok/questions.ts';
import { indexShown } from '../grok/shownFacts.ts';
import type { Trial } from './answers.ts';
import type { ConceptPair } from './editors.ts';

/** One swap: at hop 1 behind the question, at hop 2 behind the question and E2. */
export interface HopTrial extends Trial, ConceptPair {
  question: TwoHopQuestion;
}

/** Questions of a split with their activations at a hop, `[n, dModel]`. */
export interface AskedHop {
  hop: 0 | 1;
  questions: readonly TwoHopQuestion[];
  h: Float32Array;
}

/** Every relation for every one, in the order of `pairOf`. */
export function relationPairs({ concepts }: Pick<EngineDataset, 'concepts'>): ConceptPair[] {
  return concepts.flatMap((_, source) => concepts.map((_, target) => ({ source, target })));
}

/**
 * At most `count` of the possible swaps, drawn by the seed. Left out are targets that change nothing and those on
 * whose way is a fact that training does not show, for the model cannot know it; `of` chooses among the others.
 */
export function drawHopTrials(
  { hop, questions, h }: AskedHop,
  dataset: Pick<EngineDataset, 'facts' | 'concepts' | 'prompts' | 'texts'>,
  of: (entity: string, concept: number) => boolean,
  { seed, count }: { seed: number; count: number },
): HopTrial[] {
  const { concepts } = dataset;
  const lookUp = indexShown(dataset);
  const dModel = h.length / questions.length;
  const trials = questions.flatMap((question, i) => {
    const { tokens, positions, relations, entities, isImplicit } = question;
    const source = relations[hop];
    const entity = entities[hop];
    const own = lookUp(entity, source);
    const expectedOf = (target: number): string | null => {
      const value = lookUp(entity, target);
      if (target === source || value === undefined || value === own || !of(entity, target)) return null;
      if (hop === 1) return value;
      const end = lookUp(value, relations[1]);
      if (end === undefined || !isImplicit) return end === undefined ? null : `${value} ${end}`;
      // The answer must tell the swap.
      return own !== undefined && end === lookUp(own, relations[1]) ? null : end;
    };
    return concepts.flatMap((_, target): HopTrial[] => {
      const expected = expectedOf(target);
      if (expected === null) return [];
      const pair = pairOf(concepts.length, source, target);
      const asked = {
        tokens: tokens.slice(0, positions[hop] + 1),
        h: h.subarray(i * dModel, (i + 1) * dModel),
      };
      return [{ ...asked, question, pair, source, target, expected: [expected] }];
    });
  });
  return createRandom(seed, 'hop-swaps', hop).shuffle(trials).slice(0, count);
}

/** Index of a pair of relations among `relationPairs`. */
export function pairOf(nConcepts: number, source: number, target: number): number {
  return source * nConcepts + target;
}
