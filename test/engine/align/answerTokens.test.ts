import * as tf from '@tensorflow/tfjs-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { captureAnswerTokens } from '../../../src/engine/align/answerTokens.ts';
import { captureResidPost } from '../../../src/engine/align/capture.ts';
import type { CapturedPopulations, CapturedPrompt } from '../../../src/engine/align/captured.ts';
import { captureMore, prepareRows } from '../../../src/engine/align/trainingRows.ts';
import { resolveAlignmentSettings } from '../../../src/engine/contract/alignmentPresets.ts';
import type { EngineDataset, Fact } from '../../../src/engine/contract/dataset.ts';
import type { LanguageModel } from '../../../src/engine/model/languageModel.ts';
import { promptedBy } from '../../../src/engine/model/prompting.ts';
import { labelledBatches } from '../../../src/engine/sae/batches.ts';
import { loadTestBackend } from '../../helpers/engine.ts';
import { createRecorder } from '../model/recorder.ts';
import { tinyModel } from '../model/tiny.ts';

const FACTS: Fact[] = [
  { entity: 'x', concept: 0, value: 'ada bo' },
  { entity: 'x', concept: 0, value: 'cy' },
  { entity: 'x', concept: 1, value: 'di' },
  { entity: 'x', concept: 2, value: 'eve' }, // about which no prompt asks
  { entity: 'y', concept: 1, value: 'fay guy hal' },
  { entity: 'z', concept: 1, value: 'bo' },
];
const PROMPTS: [prompt: string, entity: string, concept: number][] = [
  ['fay ada', 'x', 0],
  ['guy', 'x', 1],
  ['hal di bo', 'x', 1],
  ['eve', 'y', 1],
  // The longest, and the first whose answer ends.
  ['ada bo cy di eve fay', 'z', 1],
];
const LAYER = 1;

describe.each(['auto', 'wasm'] as const)('on the %s backend', (choice) => {
  let model: LanguageModel;
  let prompts: CapturedPrompt[];
  beforeAll(async () => {
    await loadTestBackend(choice);
    model = tinyModel();
    const tokens = PROMPTS.map(([prompt]) => model.tokenizer.encode(prompt));
    const h = await captureResidPost(model, tokens, { layer: LAYER });
    const { dModel } = model.config;
    prompts = PROMPTS.map(([prompt, entity, concept], i) => ({
      ...{ id: String(i), prompt, answer: 'ada', entity, concepts: [concept], template: 't', split: 'TRAIN' },
      h: h.slice(i * dModel, (i + 1) * dModel),
    }));
  });
  afterAll(() => model.dispose());

  const capture = (reader = model) =>
    captureAnswerTokens(reader, prompts, FACTS, { layer: LAYER, breathe: async () => {} });

  describe('captureAnswerTokens', () => {
    test('lets every prompt be followed by the first answer of each concept that its entity is asked about', async () => {
      const { prompts: rows, said, places } = await capture();
      const told = Array.from(rows, (prompt, i) => [prompt, said[i], places[i]]);
      expect(told).toEqual([
        ...[0, 1, 2].flatMap((prompt) => [
          [prompt, 0, 0],
          [prompt, 0, 1],
          [prompt, 1, 0],
        ]),
        ...[0, 1, 2].map((place) => [3, 1, place]),
        [4, 1, 0],
      ]);
    });

    test.each([undefined, 'guy hal'])(
      'reads what running prompt and answer as one reads, behind the prefix %s, and leaves no tensor',
      async (prefix) => {
        const reader = promptedBy(model, { prefix });
        const before = tf.memory().numTensors;
        const { h, prompts: rows, said } = await capture(reader);
        expect(tf.memory().numTensors).toBe(before);
        const answerTo = (row: number) =>
          FACTS.find(
            ({ entity, concept }) => entity === prompts[rows[row]!]!.entity && concept === said[row],
          )!.value;
        const starts = [...rows.keys()].filter(
          (row) => row === 0 || rows[row] !== rows[row - 1] || said[row] !== said[row - 1],
        );
        const asked = starts.map((row) => model.tokenizer.encode(prompts[rows[row]!]!.prompt));
        const sequences = starts.map((row, i) => [
          ...asked[i]!,
          ...model.tokenizer.encode(` ${answerTo(row)}`),
        ]);
        const positions = sequences.map((tokens, i) => [...tokens.keys()].slice(asked[i]!.length));
        const expected = await captureResidPost(reader, sequences, { layer: LAYER, positions });
        expect(h).toHaveLength(expected.length);
        h.forEach((value, i) => {
          expect(value).toBeCloseTo(expected[i]!, 4);
        });
      },
    );
  });

  describe('rows to learn from', () => {
    const dataset = (): EngineDataset => ({
      concepts: ['a', 'b', 'c'].map((key) => ({ key, label: key })),
      ...{ facts: FACTS, prompts, texts: [] },
    });
    const prepare = async (changes: object, captured = prompts) => {
      const settings = resolveAlignmentSettings({ preset: 'COUNTERFACTUAL', layer: LAYER, ...changes });
      const populations: CapturedPopulations = { SEEN: captured, VALIDATION: [], UNSEEN: [] };
      const given = { model, dataset: dataset(), captured: populations, settings };
      return prepareRows(given, await captureMore(given, createRecorder('/nowhere')));
    };

    test('of answers lead to the same token behind the prompt that asks for it', async () => {
      const { train } = await prepare({ positions: 'ANSWER' });
      const from = train.later!.from;
      expect(from).toBe(5);
      const options = { seed: 0, batchSize: 36, counterfactual: true, mixEntities: true, silent: null };
      const rowOf = (x: ArrayLike<number>, i: number) =>
        Array.from({ length: train.dModel }, (_, j) => x[i * train.dModel + j]!);
      const find = (row: number[]) =>
        [...train.concepts.keys()].find((i) => String(rowOf(train.x, i)) === String(row))!;
      // Concept 2 has no prompts: its share of the batch would be empty.
      const batches = labelledBatches({ ...train, nConcepts: 2 }, options);
      const pairs = new Set<string>();
      const { x, partner, paired } = batches(0);
      const perConcept = 18;
      for (let i = 0; i < 36; i++) {
        const source = find(rowOf(x!.data, i));
        if (i % perConcept < perConcept / 2) continue;
        expect(source).toBeGreaterThanOrEqual(from);
        expect(paired!.data[i]).toBe(1);
        const target = find(rowOf(partner!.data, i));
        pairs.add(`${source} ${target}`);
        const at = (row: number) => [
          train.entities[row],
          train.later!.said[row - from],
          train.later!.places[row - from],
        ];
        expect(at(target)).toEqual(at(source));
        expect(train.concepts[target]).toBe(train.later!.said[source - from]);
        expect(train.concepts[source]).not.toBe(train.concepts[target]);
      }
      expect(pairs.size).toBeGreaterThan(4);
    });

    test('leave sinks out of means, scale and training, and count them', async () => {
      const plain = await prepare({});
      expect(plain.sinks.leftOut).toBe(0);
      const sink = { ...prompts[1]!, h: prompts[1]!.h.map((value) => 50 * value) };
      const { normalization, train, conceptMeans, sinks } = await prepare({}, [...prompts, sink]);
      expect(sinks.leftOut).toBe(1);
      expect(normalization).toEqual(plain.normalization);
      expect(train.x).toEqual(plain.train.x);
      expect(conceptMeans).toEqual(plain.conceptMeans);
    });
  });
});
