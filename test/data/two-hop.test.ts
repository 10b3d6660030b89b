import { createReadStream, readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import type { DatasetItem, FactItem, PromptItem } from '../../src/data/items.ts';
import { pythonShuffle } from '../../src/data/pythonShuffle.ts';
import { questionItems } from '../../src/data/questions.ts';
import { openTwoHop, TWO_HOP_FILES } from '../../src/data/two-hop.ts';

const folder = new URL('../../data/two-hop/', import.meta.url);
const open = (name: string) => createReadStream(new URL(name, folder));
const published = () => ({
  facts: open(TWO_HOP_FILES.facts),
  train: open(TWO_HOP_FILES.train),
  validation: open(TWO_HOP_FILES.validation),
});

async function read(...opened: Parameters<typeof openTwoHop>) {
  const { ontology, items } = await openTwoHop(...opened);
  const all: DatasetItem[] = [];
  for await (const item of items) all.push(item);
  return {
    ontology,
    facts: all.filter((item): item is FactItem => item.type === 'fact'),
    prompts: all.filter((item): item is PromptItem => item.type === 'prompt'),
    texts: all.flatMap((item) => (item.type === 'text' ? [item.text] : [])),
  };
}

describe('the published two-hop files', async () => {
  const { ontology, facts, prompts } = await read(published());

  it('have 800 facts, 6,400 training and 1,600 validation questions', () => {
    expect(facts).toHaveLength(800);
    const count = (split: string) => prompts.filter((prompt) => prompt.split === split).length;
    expect([count('TRAIN'), count('VALIDATION'), prompts.length]).toEqual([6400, 1600, 8000]);
    expect(new Set(facts.map((fact) => fact.entity)).size).toBe(40);
  });

  it('are about twenty relations, each called by one word', () => {
    const labels = Object.fromEntries(ontology.concepts.map(({ key, label }) => [key, label]));
    expect(labels).toEqual({
      boss_of: 'boss',
      forgives: 'forgive',
      endorsed_by: 'endorsement',
      neighbor_of: 'neighbor',
      classmate_of: 'classmate',
      cousin_of: 'cousin',
      admires: 'hero',
      accuses: 'accuse',
      owes_debt_to: 'debtor',
      works_with: 'coworker',
      reports_to: 'report',
      friend_of: 'friend',
      has_crush_on: 'crush',
      warns: 'warn',
      blames: 'blame',
      protects: 'protect',
      subscribes_to: 'subscribe',
      competes_with: 'rival',
      mentor_of: 'mentor',
      follows: 'follow',
    });
    expect(Object.keys(labels)[0]).toBe('boss_of');
  });

  it('keep questions and answers as they stand, hops in the order they are followed', () => {
    const source = JSON.parse(readFileSync(new URL(TWO_HOP_FILES.train, folder), 'utf8'));
    expect(prompts[0]).toEqual({
      type: 'prompt',
      prompt: 'Who is the friend of the report of Avery?',
      answer: 'Gerald',
      entity: 'Avery',
      concepts: ['reports_to', 'friend_of'],
      template: 'two-hop',
      split: 'TRAIN',
    });
    expect(prompts.slice(0, 6400).map((p) => p.prompt)).toEqual(
      source.map((q: { question: string }) => q.question),
    );
    const value = new Map(facts.map((fact) => [`${fact.entity}/${fact.concept}`, fact.value]));
    for (const { entity, concepts, answer } of prompts) {
      expect(value.get(`${value.get(`${entity}/${concepts[0]}`)}/${concepts[1]}`)).toBe(answer);
    }
  });

  it('give one-hop questions about every fact, held-out ones in words and lengths of the training ones', () => {
    const items = [...questionItems(ontology.concepts, facts)];
    const questions = items.filter((item): item is PromptItem => item.type === 'prompt');
    const count = (split: string) => questions.filter((prompt) => prompt.split === split).length;
    expect([count('TRAIN'), count('VALIDATION'), count('TEST_OOD')]).toEqual([6400, 1600, 3200]);
    expect(items.filter((item) => item.type === 'text')).toHaveLength(2400);
    expect(items.filter((item) => item.type === 'fact')).toEqual(facts);
    expect(new Set(questions.map((question) => question.prompt)).size).toBe(11_200);
    expect(questions[0]).toEqual({
      type: 'prompt',
      prompt: 'Who is the boss of Ashley',
      answer: 'Donna',
      entity: 'Ashley',
      concepts: ['boss_of'],
      template: 'boss_of/train-1',
      split: 'TRAIN',
    });
    const words = (text: string) => text.toLowerCase().match(/\w+|[^\w\s]/g)!;
    const known = new Set(questions.filter((q) => q.split === 'TRAIN').flatMap((q) => words(q.prompt)));
    const unknown = questions.flatMap((q) => words(q.prompt)).filter((word) => !known.has(word));
    expect(unknown).toEqual([]);
    const lengths = (asked: PromptItem[]) => new Set(asked.map((q) => words(q.prompt).length));
    const trained = lengths(questions.filter((q) => q.split === 'TRAIN'));
    expect([...lengths(questions)].filter((length) => !trained.has(length))).toEqual([]);
  });
});

describe('two-hop files that do not fit', () => {
  const bytes = (value: unknown) => [Buffer.from(typeof value === 'string' ? value : JSON.stringify(value))];
  const facts = [
    { entity_1: 'Ann', relation: 'boss_of', entity_2: 'Bob' },
    { entity_1: 'Bob', relation: 'friend_of', entity_2: 'Cid' },
  ];
  const question = {
    question: 'Who is the friend of the boss of Ann?',
    answer: 'Cid',
    fact: ['Ann', 'boss_of', 'Bob', 'friend_of', 'Cid'],
  };
  const lines = (...entries: unknown[]) => bytes(entries.map((entry) => JSON.stringify(entry)).join('\n'));
  const refused = (over: { facts?: Uint8Array[]; train?: Uint8Array[] }) =>
    expect(read({ facts: lines(...facts), train: bytes([question]), validation: bytes([]), ...over }))
      .rejects;

  it('are taken when they do', async () => {
    const { prompts } = await read({
      facts: lines(...facts),
      train: bytes([question]),
      validation: bytes([]),
    });
    expect(prompts).toHaveLength(1);
  });

  it('name the line of a bad or repeated fact', async () => {
    await refused({ facts: lines(...facts, facts[0]) }).toMatchObject({
      code: 'INVALID_INPUT',
      path: ['facts.jsonl lines', '3'],
      message: expect.stringContaining('facts.jsonl line 3: the boss_of of Ann is stated already'),
    });
    await refused({ facts: lines(facts[0], { entity_1: 'Bob' }) }).toThrow(
      'facts.jsonl line 2: relation must be text',
    );
    await refused({ facts: bytes('{"entity_1":') }).toThrow('facts.jsonl line 1: it is not JSON');
  });

  it('name the question that is misshapen or says what the facts do not', async () => {
    await refused({ train: bytes('{') }).toThrow('train_qa_data.json must be a JSON array of questions');
    await refused({ train: bytes({}) }).toThrow(
      'train_qa_data.json must be a JSON array of questions: it is object',
    );
    await refused({ train: bytes([question, { ...question, question: 'Who?' }]) }).toThrow(
      'train_qa_data.json question 2: question must be "Who is the … of the … of …?"',
    );
    await refused({ train: bytes([{ ...question, answer: 'Dan' }]) }).toThrow(
      'question train_qa_data.json 1: the answer is Dan, its fact ends in Cid',
    );
    await refused({
      train: bytes([{ ...question, answer: 'Dan', fact: ['Ann', 'boss_of', 'Bob', 'friend_of', 'Dan'] }]),
    }).toThrow('the facts say that the friend_of of Bob is Cid, not Dan');
    await refused({
      train: bytes([question, { ...question, question: 'Who is the friend of the chief of Ann?' }]),
    }).toThrow('boss_of is called chief here and boss before');
  });
});

describe('what else the authors publish', () => {
  // By Python 3: random.seed(42); random.shuffle(list(range(10))).
  it('is drawn again as Python drew it', () => {
    expect(pythonShuffle([...Array(10).keys()], 42)).toEqual([7, 3, 2, 8, 5, 6, 9, 4, 0, 1]);
  });

  it('is a second split, 4,000 questions to train on and 4,000 held out', async () => {
    const { prompts } = await read(published(), { halves: true });
    expect(prompts.map(({ split }) => split)).toEqual([
      ...Array(4000).fill('TRAIN'),
      ...Array(4000).fill('VALIDATION'),
    ]);
    // The first and last of each half, as their script leaves them.
    expect([0, 3999, 4000, 7999].map((i) => prompts[i]!.prompt)).toEqual([
      'Who is the mentor of the report of Alice?',
      'Who is the forgive of the subscribe of Albert?',
      'Who is the report of the blame of Barbara?',
      'Who is the friend of the coworker of Alexa?',
    ]);
  });

  it('is a list of sentences by relation, in each of which the facts are stated', async () => {
    const { ontology } = await openTwoHop(published());
    const all = Object.fromEntries(
      ontology.concepts.map(({ key }) => [key, [`{A} is the ${key} of {B}.`, `{B} has {A} for ${key}.`]]),
    );
    const withSentences = (value: unknown) =>
      read({ ...published(), sentences: [Buffer.from(JSON.stringify(value))] });
    const { texts, facts } = await withSentences(all);
    expect(texts).toHaveLength(1600);
    expect(facts[0]).toMatchObject({ entity: 'Ashley', concept: 'boss_of', value: 'Donna' });
    expect(texts.slice(0, 2)).toEqual(['Donna is the boss_of of Ashley.', 'Ashley has Donna for boss_of.']);
    const { follows: _, ...some } = all;
    await expect(withSentences(some)).rejects.toThrow('relation follows: must be a list of sentences');
    await expect(withSentences({ ...all, warns: ['{A} warns.'] })).rejects.toThrow(
      'relation warns: 0 must have {B}, where the entity goes',
    );
    await expect(withSentences([])).rejects.toThrow('relation_sentences.json must be a JSON object');
  });
});
