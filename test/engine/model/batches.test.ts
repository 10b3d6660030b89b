import { describe, expect, test } from 'vitest';
import type { EngineDataset } from '../../../src/engine/contract/dataset.ts';
import { askingOf } from '../../../src/engine/model/asking.ts';
import {
  type Batches,
  createBatches,
  padBatch,
  questionSequence,
  textSequence,
  trainingSequences,
} from '../../../src/engine/model/batches.ts';
import { packBatch, type Sequence } from '../../../src/engine/model/packing.ts';
import { tinyTokenizer } from './tiny.ts';

const question = {
  id: 'q',
  prompt: 'ada bo cy',
  answer: 'di eve',
  entity: 'ada',
  concepts: [0],
  template: 't',
  split: 'TRAIN' as const,
};
const text = { id: 't', text: 'fay guy', entity: 'ada', split: 'TRAIN' as const };
const idsOf = (words: string) => tinyTokenizer.encode(words);
const { eosId } = tinyTokenizer;
const asking = askingOf(tinyTokenizer, {});

test('a question counts its answer and the end, a text everything after its first token', () => {
  expect(questionSequence(asking, question)).toEqual({
    tokens: [...idsOf('ada bo cy di eve'), eosId],
    from: 3,
  });
  expect(textSequence(tinyTokenizer, text)).toEqual({ tokens: [...idsOf('fay guy'), eosId], from: 1 });
});

test('a padded batch shifts targets by one and masks prompts and padding', () => {
  const batch = padBatch([questionSequence(asking, question), textSequence(tinyTokenizer, text)], 6);
  expect(batch.tokens).toEqual({
    shape: [2, 6],
    data: Int32Array.of(...idsOf('ada bo cy di eve'), 0, ...idsOf('fay guy'), 0, 0, 0, 0),
  });
  expect(batch.targets!.data).toEqual(
    Int32Array.of(...idsOf('bo cy di eve'), eosId, 0, ...idsOf('guy'), eosId, 0, 0, 0, 0),
  );
  expect(batch.mask!.data).toEqual(Float32Array.of(0, 0, 1, 1, 1, 0, 1, 1, 0, 0, 0, 0));
});

test('a packed batch has no padding between sequences, and only what is asked of them as targets', () => {
  const sequences = [questionSequence(asking, question), textSequence(tinyTokenizer, text)];
  const batch = packBatch(sequences, { sequences: 3, tokens: 9, targets: 6 });
  const [asked, told] = [idsOf('ada bo cy di eve'), idsOf('fay guy')];
  const values = Object.fromEntries(Object.entries(batch).map(([name, { data }]) => [name, [...data]]));
  expect(values).toEqual({
    tokens: [...asked, ...told, 0, 0],
    places: [0, 1, 2, 3, 4, 0, 1, 0, 0],
    ends: [5, 7, 7],
    wanted: [2, 3, 4, 5, 6, 0],
    targets: [...idsOf('di eve'), eosId, ...idsOf('guy'), eosId, 0],
    mask: [1, 1, 1, 1, 1, 0],
  });
});

describe('training sequences', () => {
  const dataset: EngineDataset = {
    concepts: [{ key: 'c', label: 'c' }],
    facts: [],
    prompts: [question, { ...question, split: 'TEST_OOD', prompt: 'hal' }],
    texts: [text],
  };

  test('are those of the training split', () => {
    const { questions, texts } = trainingSequences(tinyTokenizer, dataset, 12);
    expect([questions.length, texts.length]).toEqual([1, 1]);
  });

  test('must exist, and fit: an error names the text and both lengths', () => {
    expect(() => trainingSequences(tinyTokenizer, { ...dataset, prompts: [], texts: [] }, 12)).toThrow(
      /no question/,
    );
    expect(() => trainingSequences(tinyTokenizer, dataset, 5)).not.toThrow();
    expect(() => trainingSequences(tinyTokenizer, dataset, 4)).toThrow(
      /nCtx is 4, but "ada bo cy" needs 5 tokens/,
    );
  });
});

describe('batches by step', () => {
  // Every sequence is told by its first token.
  const sequences = (count: number, first: number): Sequence[] =>
    Array.from({ length: count }, (_, i) => ({ tokens: [first + i, 1], from: 1 }));
  const questions = sequences(10, 100);
  const texts = sequences(3, 200);
  const settings = { seed: 0, batchSize: 8, textShare: 0.25 };
  const firsts = (batchAt: Batches['at'], step: number) => [...batchAt(step).tokens!.data];

  test('take textShare of texts, and visit every sequence once an epoch in an order of its own', () => {
    const batchAt = createBatches({ questions, texts }, settings).at;
    const drawn = Array.from({ length: 5 }, (_, step) => firsts(batchAt, step));
    for (const batch of drawn) expect(batch.filter((token) => token >= 200)).toHaveLength(2);
    const asked = drawn.flat().filter((token) => token < 200);
    const epochs = [asked.slice(0, 10), asked.slice(10, 20), asked.slice(20, 30)];
    for (const epoch of epochs) expect([...epoch].sort()).toEqual(questions.map(({ tokens }) => tokens[0]));
    expect(new Set(epochs.map(String)).size).toBe(3);
  });

  test('are a function of seed and step, so that a resumed run sees what an uninterrupted one sees', () => {
    const whole = createBatches({ questions, texts }, settings).at;
    for (let step = 0; step < 7; step++) whole(step);
    const resumed = createBatches({ questions, texts }, settings).at;
    expect(resumed(7)).toEqual(whole(7));
    expect(createBatches({ questions, texts }, { ...settings, seed: 1 }).at(7)).not.toEqual(whole(7));
  });

  test('have one shape, but for the few that are much longer than most', () => {
    const words = (length: number) => ({ tokens: Array(length).fill(1), from: 1 });
    const mixed = Array.from({ length: 1000 }, (_, i) => words(i % 2 === 0 ? 5 : 21));
    const shapes = (pool: Sequence[], batchSize: number) => {
      const { at } = createBatches({ questions: pool, texts: [] }, { ...settings, batchSize });
      const seen = Array.from({ length: 50 }, (_, step) => at(step).tokens!.data.length);
      return [...new Set(seen)];
    };
    // 12 inputs on the mean, 8 the standard deviation; the full room is 16 × 20.
    expect(shapes(mixed, 16)).toEqual([16 * 12 + 4 * Math.sqrt(16) * 8]);
    expect(shapes([words(5)], 16)).toEqual([64]);
    const [first, second] = [words(400), words(5)];
    expect(shapes([first, ...Array(999).fill(second)], 16).sort((a, b) => a - b)).toEqual([271, 16 * 399]);
  });

  test('are all questions or all texts where the other kind is missing', () => {
    expect(
      firsts(createBatches({ questions, texts: [] }, settings).at, 0).every((token) => token < 200),
    ).toBe(true);
    expect(
      firsts(createBatches({ questions: [], texts }, settings).at, 0).every((token) => token >= 200),
    ).toBe(true);
  });
});
