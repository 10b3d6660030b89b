import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as tf from '@tensorflow/tfjs-core';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { logits } from '../../../src/engine/model/decoder.ts';
import {
  createLanguageModel,
  type LanguageModel,
  loadLanguageModel,
} from '../../../src/engine/model/languageModel.ts';
import { writeSafetensors } from '../../../src/formats/safetensors.ts';
import { loadTestBackend } from '../../helpers/engine.ts';
import { tinyConfig, tinyModel, tinyTokenizer, tinyTokenizerJson, tinyWeights } from './tiny.ts';

let directory: string;
beforeAll(async () => {
  await loadTestBackend();
  directory = await mkdtemp(join(tmpdir(), 'alignsae-model-'));
});
afterAll(() => rm(directory, { recursive: true }));

async function save(name: string, weights = tinyWeights()) {
  const { path } = await writeSafetensors(join(directory, name), weights);
  return { weights: path, config: tinyConfig, tokenizer: tinyTokenizerJson };
}

function logitsOf({ config, weights }: LanguageModel): Float32Array {
  const tokens = tf.tensor2d([[3, 4, 5, 6]], undefined, 'int32');
  const values = tf.tidy(() => logits(config, weights, tokens)).dataSync<'float32'>();
  tokens.dispose();
  return values;
}

test('a saved model gives, loaded, the very same logits, and frees its weights', async () => {
  const before = tf.memory().numTensors;
  const model = tinyModel();
  const expected = tf.tidy(() => logitsOf(model));
  model.dispose();
  const loaded = await loadLanguageModel(await save('model'));
  expect(tf.tidy(() => logitsOf(loaded))).toEqual(expected);
  expect(loaded.tokenizer.decode(loaded.tokenizer.encode('Ada bo'))).toBe('ada bo');
  loaded.dispose();
  expect(tf.memory().numTensors).toBe(before);
});

test('a file that is not of the configuration is refused before anything is loaded', async () => {
  const { 'h.1.ln_2.bias': _, ...incomplete } = tinyWeights();
  await expect(loadLanguageModel(await save('incomplete', incomplete))).rejects.toMatchObject({
    code: 'UNAVAILABLE',
    message: expect.stringContaining("no tensor 'h.1.ln_2.bias'"),
  });
  const wide = { ...tinyWeights(), 'ln_f.bias': { data: new Float32Array(9), shape: [9] } };
  const before = tf.memory().numTensors;
  await expect(loadLanguageModel(await save('wide', wide))).rejects.toThrow(
    'ln_f.bias has shape [9], expected [8]',
  );
  expect(tf.memory().numTensors).toBe(before);
});

test('a model larger than memory is refused with both numbers before anything is read', async () => {
  const bytes = 4 * Object.values(tinyWeights()).reduce((sum, { data }) => sum + data.length, 0);
  const limit = vi.spyOn(process, 'constrainedMemory').mockReturnValue(bytes - 1);
  const nowhere = { weights: join(directory, 'nowhere'), config: tinyConfig, tokenizer: tinyTokenizerJson };
  await expect(loadLanguageModel(nowhere)).rejects.toMatchObject({
    code: 'LIMIT_EXCEEDED',
    message: `the model needs ${bytes} bytes of memory; this machine has ${bytes - 1}`,
  });
  limit.mockReturnValue(bytes);
  await expect(loadLanguageModel(nowhere)).rejects.toMatchObject({ code: 'ENOENT' });
  limit.mockRestore();
});

test('weights are on the device when loading returns, whatever becomes of the arrays', () => {
  const arrays = tinyWeights();
  const model = createLanguageModel(tinyConfig, arrays, tinyTokenizer);
  for (const { data } of Object.values(arrays)) data.fill(Number.NaN);
  const same = tinyModel();
  expect(tf.tidy(() => logitsOf(model))).toEqual(tf.tidy(() => logitsOf(same)));
  model.dispose();
  same.dispose();
});
