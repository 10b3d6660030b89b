/** Which swaps are tried on two-hop questions, and how many of them succeed. */

import type { SwapMethod } from '../align/swap.ts';
import { editResid, type LatentEdit } from '../align/swapMethods.ts';
import { sameAnswer } from '../data/answers.ts';
import type { EngineDataset } from '../dataset.ts';
import { generate } from '../model/generate.ts';
import type { LanguageModel } from '../model/languageModel.ts';
import { createRandom } from '../random.ts';
import type { LoadedSae } from '../sae/file.ts';
import type { TwoHopQuestion } from './questions.ts';

/** One swap: at hop 1 behind the question, at hop 2 behind the question and E2. */
export interface HopTrial {
  /** Up to the edited position. */
  tokens: readonly number[];
  /** Raw activation there, `[dModel]`. */
  h: Float32Array;
  source: number;
  target: number;
  /** What is to follow. */
  expected: string;
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
  const values = new Map(facts.map(({ entity, concept, value }) => [`${concept} ${entity}`, value]));
  const lookUp = (entity: string | undefined, concept: number) => values.get(`${concept} ${entity}`);
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

/** Trials whose whole greedy continuation is the expected one. */
export async function countHopSuccesses(
  { model, sae }: { model: LanguageModel; sae: LoadedSae },
  trials: readonly HopTrial[],
  edits: readonly LatentEdit[],
  method: SwapMethod,
  breathe: () => Promise<void>,
): Promise<number> {
  if (trials.length === 0) return 0;
  const { dModel } = sae.config;
  const h = new Float32Array(trials.length * dModel);
  trials.forEach((trial, i) => {
    h.set(trial.h, i * dModel);
  });
  const { resid } = editResid(sae, h, edits, method);
  const longest = Math.max(...trials.map(({ expected }) => model.tokenizer.encode(` ${expected}`).length));
  const made = await generate(
    model,
    trials.map(({ tokens }) => tokens),
    { maxNewTokens: longest + 1, edit: { layer: sae.settings.layer, values: resid }, breathe },
  );
  return made.filter(({ text }, i) => sameAnswer(text, trials[i]!.expected)).length;
}
