/** Two-hop questions and single facts as token sequences, with the positions where the hops are read. */
import { invalidInput } from '../../errors.ts';
import type { Tokenizer } from '../../formats/tokenizer.ts';
import { createRandom } from '../../random.ts';
import type { EngineDataset, Split } from '../contract/dataset.ts';
import { askingOf } from '../model/asking.ts';
import { questionSequence } from '../model/batches.ts';
import type { Sequence } from '../model/packing.ts';
import { findRelations } from './relationPlaces.ts';

export interface TwoHopQuestion extends Sequence {
  /** R1 and R2, by concept index. */
  relations: readonly [number, number];
  /** Whose relation it is, hop by hop: E1 and E2. */
  entities: readonly [string, string];
  /** Where a hop is read: the token that predicts E2, and the last token of E2, which predicts E3. */
  positions: readonly [number, number];
  /** First token of E2 and of E3. */
  answers: readonly [number, number];
  /** Last token of R1's and of R2's label; null where the question does not name them, R2 before R1. */
  relationPlaces: readonly [number, number] | null;
  /** Whether the answer leaves E2 out, so that both hops are read where E3 is predicted. */
  isImplicit: boolean;
}

/** An entity's value for a relation; where there are several, the usual one, which the facts name first. */
export function indexValues(
  facts: EngineDataset['facts'],
): (entity: string, concept: number) => string | undefined {
  const values = new Map<string, string>();
  for (const { entity, concept, value } of facts) {
    const key = `${concept} ${entity}`;
    if (!values.has(key)) values.set(key, value);
  }
  return (entity, concept) => values.get(`${concept} ${entity}`);
}

/**
 * Questions of two relations of a split, at most `max` of them, drawn by the seed.
 * @throws {AppError} INVALID_INPUT when a question's first fact is not among the dataset's, or its answer neither `E2 E3`
 * nor `E3`.
 */
export function twoHopQuestions(
  { prompts, facts, concepts }: EngineDataset,
  tokenizer: Tokenizer,
  split: Split,
  { seed, maxQuestions }: { seed: number; maxQuestions: number },
): TwoHopQuestion[] {
  const lookUp = indexValues(facts);
  const asked = prompts.filter((prompt) => prompt.split === split && prompt.concepts.length === 2);
  const drawn = createRandom(seed, 'questions', split)
    .shuffle([...asked])
    .slice(0, maxQuestions);
  return drawn.map((prompt) => {
    const relations = [prompt.concepts[0]!, prompt.concepts[1]!] as const;
    const middle = lookUp(prompt.entity, relations[0]);
    if (middle === undefined)
      throw invalidInput(['dataset'], `the dataset has no fact for the first hop of "${prompt.prompt}"`);
    const sequence = questionSequence(askingOf(tokenizer, {}), prompt);
    const relationPlaces = findRelations(prompt.prompt, relations, { concepts }, tokenizer);
    const common = { ...sequence, relations, relationPlaces, entities: [prompt.entity, middle] as const };
    if (prompt.answer === lookUp(middle, relations[1])) {
      const { from } = sequence;
      const answer = sequence.tokens[from]!;
      return { ...common, isImplicit: true, positions: [from - 1, from - 1], answers: [answer, answer] };
    }
    const spoken = tokenizer.encode(` ${middle}`);
    const e2 = sequence.from + spoken.length;
    // Behind E2 come a token of E3 and the end token, at least.
    if (spoken.some((id, i) => sequence.tokens[sequence.from + i] !== id) || sequence.tokens.length < e2 + 2)
      throw invalidInput(
        ['dataset'],
        `"${prompt.prompt}" is answered "${prompt.answer}"; both hops can be read only where the answer begins with ${middle} and goes on, or is what the second relation leads to`,
      );
    return {
      ...common,
      isImplicit: false,
      positions: [sequence.from - 1, e2 - 1],
      answers: [sequence.tokens[sequence.from]!, sequence.tokens[e2]!],
    };
  });
}

/**
 * Single facts to be completed: questions of one relation, or, where there are none, the texts up to the value that
 * they state last, each at most `max` of them.
 */
export function oneHopQuestions(
  { prompts, facts, texts }: EngineDataset,
  tokenizer: Tokenizer,
  { seed, maxQuestions }: { seed: number; maxQuestions: number },
): Sequence[] {
  const draw = <T>(items: readonly T[]) =>
    createRandom(seed, 'one-hop')
      .shuffle([...items])
      .slice(0, maxQuestions);
  const asked = prompts.filter(({ concepts }) => concepts.length === 1);
  if (asked.length > 0) return draw(asked).map((prompt) => questionSequence(askingOf(tokenizer, {}), prompt));
  const valuesOf = new Map<string, Set<string>>();
  for (const { entity, value } of facts) valuesOf.set(entity, (valuesOf.get(entity) ?? new Set()).add(value));
  return draw(texts).flatMap(({ text, entity }) => {
    const stated = [...(valuesOf.get(entity) ?? [])].map((value) => ({
      value,
      at: text.lastIndexOf(` ${value}`),
    }));
    const last = stated.filter(({ at }) => at > 0).sort((a, b) => b.at - a.at)[0];
    if (!last) return [];
    const before = tokenizer.encode(text.slice(0, last.at));
    return { tokens: [...before, ...tokenizer.encode(` ${last.value}`)], from: before.length };
  });
}
