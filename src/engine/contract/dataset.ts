/** The engine's view of a dataset: plain data, no database ids that it would have to understand. */
import type { z } from 'zod';
import { namedEnum } from './describe.ts';

export const splits = namedEnum('Split', 'Parts of a dataset, by what they are for.', {
  TRAIN: 'What models and SAEs learn from.',
  VALIDATION: 'Held out, for choosing settings such as alpha; never reported.',
  TEST_OOD: 'Held-out phrasings of known facts, for reporting (out of distribution).',
});
export type Split = z.output<typeof splits>;
export const SPLITS: readonly Split[] = splits.options;

/** A member of the ontology; its position in `EngineDataset.concepts` is its slot's number. */
export interface Concept {
  key: string;
  label: string;
}

/**
 * A fact `entity –concept→ value`, such as (Ada Park, birth_city, Oslo). Where several are true of an entity and a
 * concept, the usual one comes first.
 */
export interface Fact {
  entity: string;
  /** Index into `EngineDataset.concepts`. */
  concept: number;
  value: string;
}

/** A prompt about an entity; where it is a question, the model continues `prompt` with ` ${answer}`, or as its chat template says. */
export interface Prompt {
  /** The caller's id of this example; handed back in results. */
  id: string;
  prompt: string;
  /** Null where the prompt only says what it is about: it is read, and never asked. */
  answer: string | null;
  /** What counts as well as `answer`, which is the usual one and the one that is learned; absent where there is none. */
  otherAnswers?: readonly string[];
  entity: string;
  /** Concept indices, one a hop: one-hop prompts have one, two-hop prompts have two. */
  concepts: readonly number[];
  /** Names the phrasing; prompts of one template differ in the entity only. */
  template: string;
  split: Split;
  /** Where its file says it, for messages about it; absent where there is none. */
  line?: number;
}

/** A prompt that can be asked. */
export interface Question extends Prompt {
  answer: string;
}

export function isQuestion<P extends Prompt>(prompt: P): prompt is P & Question {
  return prompt.answer !== null;
}

/** All that counts as an answer, the usual one first; nothing where the prompt is not asked. */
export function answersOf({ answer, otherAnswers = [] }: Pick<Prompt, 'answer' | 'otherAnswers'>): string[] {
  return answer === null ? [] : [answer, ...otherAnswers];
}

/** A sentence that states a fact and asks nothing; trained on with full next-token loss. */
export interface Text {
  id: string;
  text: string;
  entity: string;
  split: Split;
}

/** How prompts are put to a model. */
export interface Prompted {
  /** What stands before every prompt, as it is; the prompts are without it. Absent where nothing does. */
  prefix?: string;
  /** What ends an answer besides the model's end token, such as a full stop. */
  answerEnd?: string;
  /** True: each is a user's message of a chat, the prefix at its beginning, and is answered as the model's chat template says. */
  chat?: boolean;
  /** True: answers must agree in letter case too. */
  letterCase?: boolean;
}

export interface EngineDataset extends Prompted {
  concepts: readonly Concept[];
  facts: readonly Fact[];
  prompts: readonly Prompt[];
  texts: readonly Text[];
}
