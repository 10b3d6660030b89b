import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as tf from '@tensorflow/tfjs-core';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { captureResidPost } from '../../../src/engine/align/capture.ts';
import type { LanguageModel } from '../../../src/engine/model/languageModel.ts';
import { type Corpus, openCorpus } from '../../../src/engine/texts/corpus.ts';
import {
  createTextStream,
  type TextPosition,
  type TextStreamOptions,
} from '../../../src/engine/texts/textStream.ts';
import { writeCorpus } from '../../../src/formats/corpusFile.ts';
import { createRandom } from '../../../src/random.ts';
import { loadTestBackend } from '../../helpers/engine.ts';
import { tinyConfig, tinyModel } from '../model/tiny.ts';

const { dModel } = tinyConfig;
const WORDS = ['ada', 'bo', 'cy', 'di', 'eve', 'fay', 'guy', 'hal'];
const random = createRandom(7, 'documents of the test');
const documents = Array.from({ length: 40 }, () =>
  Array.from({ length: 1 + random.int(30) }, () => WORDS[random.int(WORDS.length)]).join(' '),
);
const tokens = documents.reduce((sum, text) => sum + text.split(' ').length, 0);
const OPTIONS: TextStreamOptions = {
  ...{ layer: 1, seed: 3, stream: 'TEST', contextLength: 8, bufferRows: 100, draws: 1 },
  breathe: async () => {},
};

let dir: string;
let model: LanguageModel;
let corpus: Corpus;
beforeAll(async () => {
  await loadTestBackend();
  dir = await mkdtemp(join(tmpdir(), 'texts-'));
  model = tinyModel();
  corpus = await store('corpus', documents);
});
afterAll(async () => {
  await corpus.close();
  model.dispose();
  await rm(dir, { recursive: true });
});

async function store(name: string, texts: readonly string[]): Promise<Corpus> {
  async function* stream() {
    yield* texts;
  }
  const { file } = await writeCorpus(join(dir, name), stream());
  return openCorpus({ path: file.path, hash: file.sha256 });
}

const open = (changes: Partial<TextStreamOptions> = {}, from?: TextPosition) =>
  createTextStream(model, corpus, { ...OPTIONS, ...changes }, from);

/** Rows as texts, to compare them as sets; rounded, for a matrix of another size is summed in another order. */
const rowsOf = (h: Float32Array) =>
  Array.from({ length: h.length / dModel }, (_, i) =>
    Array.from(h.subarray(i * dModel, (i + 1) * dModel), (value) => value.toFixed(3)).join(' '),
  );

test('reads documents back as they were written', async () => {
  expect(corpus.documents).toBe(40);
  for (const i of [0, 39, 17]) expect(await corpus.read(i)).toBe(documents[i]);
});

test('one pass over the corpus draws each position of each document once, in another order', async () => {
  const before = tf.memory().numTensors;
  // One filling as large as the corpus, so that a pass and a filling are one.
  const drawn = await open({ bufferRows: tokens, contextLength: 12 }).next(tokens);
  expect(tf.memory().numTensors).toBe(before);
  const contexts = documents.flatMap((text) => {
    const ids = model.tokenizer.encode(text);
    return Array.from({ length: Math.ceil(ids.length / 12) }, (_, i) => ids.slice(12 * i, 12 * i + 12));
  });
  const positions = contexts.map((ids) => ids.map((_, position) => position));
  const expected = await captureResidPost(model, contexts, { layer: 1, positions });
  expect(rowsOf(drawn)).not.toEqual(rowsOf(expected));
  expect(rowsOf(drawn).sort()).toEqual(rowsOf(expected).sort());
});

test('streams of other seeds, and of other names, are in other orders; equal ones are equal', async () => {
  const first = await open().next(64);
  expect(await open().next(64)).toEqual(first);
  expect(await open({ seed: 4 }).next(64)).not.toEqual(first);
  expect(await open({ stream: 'OTHER' }).next(64)).not.toEqual(first);
});

test.each([1, 3])(
  'with %i draws of each row it goes on from any position as it would have',
  async (draws) => {
    const whole = open({ draws });
    const parts: { at: TextPosition; rows: Float32Array }[] = [];
    // Past the end of the corpus, so that a second pass is among them.
    for (let done = 0; done < 2 * draws * tokens; done += 77) {
      const at: TextPosition = JSON.parse(JSON.stringify(whole.position()));
      parts.push({ at, rows: await whole.next(77) });
    }
    for (const { at, rows } of parts.filter((_, i) => i % 3 === 0))
      expect(await open({ draws }, at).next(77)).toEqual(rows);
  },
);

test('each row of a filling is drawn as often as asked, each time in another order', async () => {
  const drawn = rowsOf(await open({ draws: 3 }).next(300));
  const [first, second, third] = [0, 1, 2].map((pass) => drawn.slice(100 * pass, 100 * pass + 100));
  expect(second).not.toEqual(first);
  expect(second!.toSorted()).toEqual(first!.toSorted());
  expect(third!.toSorted()).toEqual(first!.toSorted());
});

test('sinks are left out', async () => {
  const sinking = tinyModel();
  const { shape } = sinking.weights['wpe.weight']!;
  const table = sinking.weights['wpe.weight']!.dataSync<'float32'>().slice();
  // The first position of every context becomes one.
  table.set(Array.from({ length: dModel }, (_, i) => (i % 2 ? 500 : -500)));
  sinking.weights['wpe.weight']!.dispose();
  sinking.weights['wpe.weight'] = tf.tensor(table, shape);
  const drawn = await createTextStream(sinking, corpus, { ...OPTIONS, layer: -1 }).next(400);
  expect(Math.max(...drawn.map(Math.abs))).toBeLessThan(50);
  sinking.dispose();
});

test('a corpus without a token is refused, one with few goes round', async () => {
  const few = await store('few', [' ', 'ada bo', '  ']);
  const drawn = await createTextStream(model, few, OPTIONS).next(300);
  expect(new Set(rowsOf(drawn)).size).toBe(2);
  await few.close();
  const none = await store('none', [' ', '  ']);
  await expect(createTextStream(model, none, OPTIONS).next(1)).rejects.toMatchObject({
    code: 'INVALID_INPUT',
    message: /no document of the corpus has a token/,
  });
  await none.close();
});
