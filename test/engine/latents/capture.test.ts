import * as tf from '@tensorflow/tfjs-core';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { collectDataset } from '../../../src/data/items.ts';
import { captureResidPost } from '../../../src/engine/align/capture.ts';
import { capturePrompts } from '../../../src/engine/align/captured.ts';
import { splitPopulations } from '../../../src/engine/align/population.ts';
import type { EngineDataset } from '../../../src/engine/contract/dataset.ts';
import type { JobContext } from '../../../src/engine/contract/protocol.ts';
import { capturedPrompts, promptsOfCaptured } from '../../../src/engine/latents/capture.ts';
import { readLatentTokens } from '../../../src/engine/latents/tokens.ts';
import type { LoadedPair } from '../../../src/engine/loaded.ts';
import { Sae } from '../../../src/engine/sae/sae.ts';
import { loadTestBackend } from '../../helpers/engine.ts';
import { TINY_ITEMS } from '../../helpers/tinyAlignment.ts';
import { tinySae } from '../align/tinySae.ts';
import { tinyModel } from '../model/tiny.ts';

const concepts = ['a', 'b', 'c'].map((key) => ({ key, label: key }));
const plain = collectDataset(concepts, TINY_ITEMS);
const twoHop = { ...plain.prompts[0]!, id: 'two', concepts: [0, 1] };
const dataset: EngineDataset = { ...plain, prompts: [twoHop, ...plain.prompts] };
const half = { unseenShare: 0.5, validationShare: 0 };

let pair: LoadedPair;
beforeAll(async () => {
  await loadTestBackend();
  const sae = tinySae();
  pair = {
    model: tinyModel(),
    sae: new Sae({ ...sae, settings: { ...sae.settings, ...half } }),
  };
});
afterAll(() => {
  pair.model.dispose();
  pair.sae.dispose();
});

/** Latents at every token of a prompt, `[tokens][latents]`. */
async function latentsOf(prompt: string): Promise<number[][]> {
  const tokens = pair.model.tokenizer.encode(prompt);
  const h = await captureResidPost(pair.model, [tokens], { layer: 1, positions: [tokens.map((_, i) => i)] });
  const all = pair.sae.latents(h);
  return tokens.map((_, i) => [...all.subarray(i * 7, (i + 1) * 7)]);
}

test('prompts of one concept are captured at their last token, once, with what the SAE learned from', async () => {
  expect(await capturedPrompts(pair, { datasetId: 'd', dataset: null })).toBeNull();
  const captured = (await capturedPrompts(pair, { datasetId: 'd', dataset }))!;
  expect(captured.prompts.map(({ id }) => id)).toEqual(plain.prompts.map(({ id }) => id));
  expect(captured.prompts.map(({ concept }) => concept)).toEqual(plain.prompts.map((p) => p.concepts[0]));
  const { populationOf } = splitPopulations(dataset, pair.sae.settings);
  const learned = plain.prompts.map((p) => p.split === 'TRAIN' && populationOf(p.entity) === 'SEEN');
  expect(captured.prompts.map((prompt) => prompt.learned)).toEqual(learned);
  expect(learned.filter(Boolean)).toHaveLength(6);
  const tokens = plain.prompts.map(({ prompt }) => pair.model.tokenizer.encode(prompt));
  expect(captured.h).toEqual(await captureResidPost(pair.model, tokens, { layer: 1 }));
  expect(await capturedPrompts(pair, { datasetId: 'd', dataset: null })).toBe(captured);
  expect(await capturedPrompts(pair, { datasetId: 'other', dataset: null })).toBeNull();
});

test('activations that were captured for a training serve as they are', async () => {
  const { settings } = pair.sae;
  const context = { reporter: { breathe: async () => {} } } as JobContext;
  const captured = await capturePrompts(pair.model, splitPopulations(dataset, settings), settings, context);
  const { datasetId: _, ...again } = promptsOfCaptured(pair.model, pair.sae, dataset, captured);
  const { datasetId: __, ...own } = (await capturedPrompts(pair, { datasetId: 'again', dataset }))!;
  expect(again).toEqual(own);
});

test('many prompts are sampled evenly', async () => {
  const many = Array.from({ length: 20_000 }, (_, i) => ({ ...plain.prompts[0]!, id: `${i}` }));
  const captured = await capturedPrompts(pair, { datasetId: 'many', dataset: { ...plain, prompts: many } });
  const ids = captured!.prompts.map(({ id }) => Number(id));
  expect(ids).toHaveLength(8192);
  expect(ids.every((id, i) => i === 0 || id - ids[i - 1]! === 2 || id - ids[i - 1]! === 3)).toBe(true);
  expect(ids.at(-1)).toBeGreaterThan(19_995);
});

test('latents are read at every token of prompts of any length', async () => {
  const before = tf.memory().numTensors;
  const requests = [
    { latent: 5, prompt: 'ada bo cy' },
    { latent: 0, prompt: 'guy' },
    { latent: 0, prompt: 'ada bo cy' },
  ];
  const answers = await readLatentTokens(pair, requests);
  expect(tf.memory().numTensors).toBe(before);
  expect(answers.map((tokens) => tokens.map(({ text }) => text).join(' '))).toEqual(
    requests.map(({ prompt }) => prompt),
  );
  for (const [i, { latent, prompt }] of requests.entries()) {
    const expected = await latentsOf(prompt);
    answers[i]!.forEach(({ activation }, at) => {
      expect(activation).toBeCloseTo(expected[at]![latent]!, 4);
    });
  }
});
