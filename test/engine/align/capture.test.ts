import * as tf from '@tensorflow/tfjs-core';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { captureLayers, captureResidPost, endOfBatch } from '../../../src/engine/align/capture.ts';
import type { LanguageModel } from '../../../src/engine/model/languageModel.ts';
import { loadTestBackend } from '../../helpers/engine.ts';
import { referenceForward } from '../model/reference.ts';
import { tinyConfig, tinyModel, tinyPrompts, tinyWeights } from '../model/tiny.ts';

let model: LanguageModel;
beforeAll(async () => {
  await loadTestBackend();
  model = tinyModel();
});
afterAll(() => model.dispose());

const prompts = tinyPrompts(11);
const reference = (i: number, layer: number) =>
  referenceForward(tinyConfig, tinyWeights(), prompts[i]!).resid[layer]!;

test('captures the last token of every prompt, in batches, without leaving a tensor', async () => {
  const before = tf.memory().numTensors;
  const captured = await captureResidPost(model, prompts, { layer: 1, batchSize: 4 });
  expect(tf.memory().numTensors).toBe(before);
  expectClose(
    captured,
    prompts.flatMap((_, i) => reference(i, 1).at(-1)!),
  );
});

test('captures any positions in the order wanted, none included', async () => {
  const positions = prompts.map((prompt, i) => (i % 3 === 0 ? [] : [prompt.length - 1, 0]));
  const captured = await captureResidPost(model, prompts, { layer: 2, positions, batchSize: 3 });
  expectClose(
    captured,
    positions.flatMap((chosen, i) => chosen.flatMap((position) => reference(i, 2)[position]!)),
  );
});

test('captures several layers at once as each by itself, without leaving a tensor', async () => {
  const before = tf.memory().numTensors;
  const positions = prompts.map((prompt) => [0, prompt.length - 1]);
  const captured = await captureLayers(model, prompts, { layers: [0, 2], positions, batchSize: 4 });
  expect(tf.memory().numTensors).toBe(before);
  for (const [i, layer] of [0, 2].entries())
    expectClose(
      captured[i]!,
      positions.flatMap((chosen, i) => chosen.flatMap((position) => reference(i, layer)[position]!)),
    );
});

test.each([
  [{ layer: 3 }, 'layer', /-1 to 2, got 3/],
  [{ layer: 0, positions: [[0], [99]] }, 'positions.1', /got 99/],
])('refuses what does not exist: %j', async (options, path, message) => {
  await expect(captureResidPost(model, prompts, options)).rejects.toMatchObject({
    code: 'INVALID_INPUT',
    path: path.split('.'),
    message: expect.stringMatching(message),
  });
});

function expectClose(actual: Float32Array, expected: readonly number[]): void {
  expect(actual).toHaveLength(expected.length);
  const distance = expected.reduce((max, value, i) => Math.max(max, Math.abs(value - actual[i]!)), 0);
  expect(distance).toBeLessThan(1e-4);
}

test('batches end before they are too many sequences, or too many tokens with padding, but never empty', () => {
  const sequences = [3, 4, 2, 9, 1, 1, 1].map((length) => new Array<number>(length).fill(0));
  const batches = (batchSize: number, maxTokens: number) => {
    const ends: number[] = [];
    for (let end = 0; end < sequences.length; ends.push(end))
      end = endOfBatch(sequences, end, batchSize, maxTokens);
    return ends;
  };
  expect(batches(100, 100)).toEqual([7]);
  expect(batches(3, 100)).toEqual([3, 6, 7]);
  expect(batches(100, 8)).toEqual([2, 3, 4, 7]);
});
