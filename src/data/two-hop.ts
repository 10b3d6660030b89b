/**
 * The two-hop dataset as its authors publish it: `facts.jsonl` with one relation between two people a line, and
 * two JSON arrays of questions such as "Who is the friend of the report of Avery?".
 */
import { z } from 'zod';
import type { Split } from '../engine/contract/dataset.ts';
import type {
  DatasetItem,
  FactItem,
  ImportStream,
  OntologyDefinition,
  PromptItem,
  TextItem,
} from './items.ts';
import { check, notJson, parseJson, readJson } from './jsonFile.ts';
import { type Bytes, READ_LIMITS, type ReadLimits, readLines } from './lines.ts';
import { Problems } from './problems.ts';
import { pythonShuffle } from './pythonShuffle.ts';
import { conceptKey, longText, shortText } from './text.ts';
import { readSentences, stateAll } from './two-hop-sentences.ts';

/** The names of the three files, by what they hold. */
export const TWO_HOP_FILES = {
  facts: 'facts.jsonl',
  train: 'train_qa_data.json',
  validation: 'val_qa_data.json',
} as const;

/** The files, and what may lie beside them: sentences to state the facts in. */
export type TwoHopFiles = Readonly<Record<keyof typeof TWO_HOP_FILES, Bytes> & { sentences?: Bytes }>;

export interface TwoHopOptions {
  /** Whether the questions of both files are divided anew, into halves. */
  halves?: boolean;
  limits?: ReadLimits;
}

/** What their script seeds its shuffle with. */
const AUTHORS_SEED = 42;
/** How the authors ask: relation 2 stands before relation 1. */
const QUESTION = /^Who is the (.+) of the (.+) of (.+)\?$/;

const factLine = z.object({ entity_1: shortText, relation: conceptKey, entity_2: shortText }).strict();
const questionEntry = z
  .object({
    question: longText.regex(QUESTION, { error: 'must be "Who is the … of the … of …?"' }),
    answer: shortText,
    /** E1, R1, E2, R2, E3. */
    fact: z.tuple([shortText, conceptKey, shortText, conceptKey, shortText]),
  })
  .strict();
type Question = z.output<typeof questionEntry> & { place: string; split: Split };

/**
 * Reads the three files whole and checks that questions and facts agree. The ontology's concepts are the
 * relations in the order in which the facts name them first; a relation's label is the word that the questions
 * use for it, such as "debtor" for `owes_debt_to`.
 * @throws AppError INVALID_INPUT listing bad lines and questions.
 */
export async function openTwoHop(
  files: TwoHopFiles,
  { halves = false, limits = READ_LIMITS }: TwoHopOptions = {},
): Promise<ImportStream> {
  const facts = await readFacts(files.facts, limits);
  const given = [
    ...(await readQuestions(TWO_HOP_FILES.train, files.train, 'TRAIN', limits)),
    ...(await readQuestions(TWO_HOP_FILES.validation, files.validation, 'VALIDATION', limits)),
  ];
  const questions = halves ? halve(given) : given;
  const ofFacts = [...facts.values()];
  const sentences = files.sentences && (await readSentences(files.sentences, ofFacts, limits));
  const problems = new Problems('question');
  const words = new Map<string, string>();
  for (const question of questions) {
    const reason = checkFacts(question, facts) ?? noteWords(question, words);
    if (reason) problems.add(question.place, reason);
  }
  problems.throwIfAny();
  return {
    ontology: ontologyOf(facts, words),
    items: itemsOf(ofFacts, stateAll(ofFacts, sentences), questions),
  };
}

/** As the authors' script divides them: all in the order of the files, shuffled, the first half to train on. */
function halve(questions: readonly Question[]): Question[] {
  const half = Math.floor(questions.length / 2);
  return pythonShuffle(questions, AUTHORS_SEED).map((question, i) => ({
    ...question,
    split: i < half ? 'TRAIN' : 'VALIDATION',
  }));
}

const factKey = (entity: string, relation: string): string => JSON.stringify([entity, relation]);

async function readFacts(bytes: Bytes, limits: ReadLimits): Promise<Map<string, FactItem>> {
  const problems = new Problems(`${TWO_HOP_FILES.facts} line`);
  const facts = new Map<string, FactItem>();
  for await (const { number, text, problem } of readLines(bytes, limits)) {
    if (problem) problems.add(number, problem);
    if (problem || !text.trim()) continue;
    const fact = check(factLine, parseJson(text), (reason) => problems.add(number, reason));
    if (!fact) continue;
    const key = factKey(fact.entity_1, fact.relation);
    if (facts.has(key)) problems.add(number, `the ${fact.relation} of ${fact.entity_1} is stated already`);
    facts.set(key, { type: 'fact', entity: fact.entity_1, concept: fact.relation, value: fact.entity_2 });
  }
  problems.throwIfAny();
  return facts;
}

async function readQuestions(
  name: string,
  bytes: Bytes,
  split: Split,
  limits: ReadLimits,
): Promise<Question[]> {
  const entries = await readJson(name, bytes, limits);
  if (!Array.isArray(entries)) throw notJson(name, 'a JSON array of questions', entries);
  const problems = new Problems(`${name} question`);
  const questions = entries.flatMap((entry, i) => {
    const question = check(questionEntry, entry, (reason) => problems.add(i + 1, reason));
    return question ? [{ ...question, place: `${name} ${i + 1}`, split }] : [];
  });
  problems.throwIfAny();
  return questions;
}

function checkFacts({ fact, answer }: Question, facts: ReadonlyMap<string, FactItem>): string | null {
  const [e1, r1, e2, r2, e3] = fact;
  for (const [entity, relation, value] of [
    [e1, r1, e2],
    [e2, r2, e3],
  ] as const) {
    const known = facts.get(factKey(entity, relation))?.value;
    if (known !== value) return `the facts say that the ${relation} of ${entity} is ${known}, not ${value}`;
  }
  return answer === e3 ? null : `the answer is ${answer}, its fact ends in ${e3}`;
}

/** Notes which word the question uses for each of its relations; says when it used another before. */
function noteWords({ question, fact }: Question, words: Map<string, string>): string | null {
  const [, second, first] = QUESTION.exec(question)!;
  for (const [relation, word] of [
    [fact[1], first!],
    [fact[3], second!],
  ] as const) {
    const known = words.get(relation) ?? word;
    if (known !== word) return `${relation} is called ${word} here and ${known} before`;
    words.set(relation, word);
  }
  return null;
}

function ontologyOf(
  facts: ReadonlyMap<string, FactItem>,
  words: ReadonlyMap<string, string>,
): OntologyDefinition {
  const relations = [...new Set([...facts.values()].map((fact) => fact.concept))];
  return {
    slug: 'two-hop',
    name: 'Two-hop relations',
    description: 'Relations between people; a two-hop question follows two of them one after the other.',
    concepts: relations.map((key) => {
      const label = words.get(key) ?? key.replaceAll('_', ' ');
      return { key, label, description: `The relation ${key}, asked about as "${label}".` };
    }),
  };
}

async function* itemsOf(
  facts: readonly FactItem[],
  texts: Iterable<TextItem>,
  questions: readonly Question[],
): AsyncGenerator<DatasetItem> {
  yield* facts;
  yield* texts;
  for (const { question, answer, fact, split } of questions) {
    const [entity, r1, , r2] = fact;
    const item: PromptItem = {
      type: 'prompt',
      prompt: question,
      answer,
      entity,
      concepts: [r1, r2],
      template: 'two-hop',
      split,
    };
    yield item;
  }
}
