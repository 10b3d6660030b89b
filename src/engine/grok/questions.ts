/** Two-hop questions and single facts as token sequences, with the positions where the hops are read. */
import { invalidInput } from '../../errors.ts';
import type { Tokenizer } from '../../formats/tokenizer.ts';
import { createRandom } from '../../random.ts';
import type { EngineDataset, Split } from '../contract/dataset.ts';
import { askingOf } from '../model/asking.ts';
import { questionSequence, type Sequence } from '../model/batches.ts';

export interface TwoHopQuestion extends Sequence {
  /** R1 and R2, by concept index. */
  relations: readonly [number, number];
  /** Whose relation it is, hop by hop: E1 and E2. */
  entities: readonly [string, string];
  /** Where a hop is read: the token that predicts E2, and the last token of E2, which predicts E3. */
  positions: readonly [number, number];
  /** First token of E2 and of E3. */
  answers: readonly [number, number];
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
 * @throws {AppError} INVALID_INPUT when a question's first fact is not among the dataset's, or its answer not `E2 E3`.
 */
export function twoHopQuestions(
  { prompts, facts }: EngineDataset,
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
    const spoken = tokenizer.encode(` ${middle}`);
    const e2 = sequence.from + spoken.length;
    // Behind E2 come a token of E3 and the end token, at least.
    if (spoken.some((id, i) => sequence.tokens[sequence.from + i] !== id) || sequence.tokens.length < e2 + 2)
      throw invalidInput(
        ['dataset'],
        `"${prompt.prompt}" is answered "${prompt.answer}"; both hops can be read only where the answer begins with ${middle} and goes on`,
      );
    return {
      ...sequence,
      relations,
      entities: [prompt.entity, middle],
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
