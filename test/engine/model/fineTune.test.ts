/** Training that begins with the weights of an imported model. */
import { existsSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import * as tf from '@tensorflow/tfjs-core';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import type { EngineDataset } from '../../../src/engine/contract/dataset.ts';
import type { ModelJob, ModelRef } from '../../../src/engine/contract/model.ts';
import { type ModelSettingsInput, resolveModelSettings } from '../../../src/engine/contract/modelSettings.ts';
import { logits } from '../../../src/engine/model/decoder.ts';
import { loadLanguageModel, weightBytes } from '../../../src/engine/model/languageModel.ts';
import { trainModel } from '../../../src/engine/model/train.ts';
import { openFiles } from '../../../src/formats/huggingFace/files.ts';
import { openCheckpoint } from '../../../src/formats/huggingFace/importModel.ts';
import { writeChunks } from '../../../src/formats/safetensors.ts';
import { loadTestBackend } from '../../helpers/engine.ts';
import { createRecorder, Killed } from './recorder.ts';
import { tinyConfig, tinyTokenizerJson } from './tiny.ts';

const FIXTURE = fileURLToPath(new URL('../../fixtures/gpt2/f32', import.meta.url));
let dir: string;
let imported: ModelRef;
beforeAll(async () => {
  await loadTestBackend();
  dir = await mkdtemp(join(tmpdir(), 'alignsae-finetune-'));
  const located = (name: string) => join(FIXTURE, name);
  const files = openFiles(async (name) => (existsSync(located(name)) ? located(name) : null));
  const { config, tokenizer, weights } = await openCheckpoint(files);
  const { path } = await writeChunks(join(dir, 'imported.safetensors'), weights.chunks());
  await files.close();
  imported = { weights: path, config, tokenizer };
});
afterAll(() => rm(dir, { recursive: true }));

const UNITS: [string, string, string][] = [
  ['metre', 'length', 'm'],
  ['second', 'time', 's'],
  ['joule', 'energy', 'J'],
  ['newton', 'force', 'N'],
];
const dataset: EngineDataset = {
  concepts: [
    { key: 'quantity', label: 'quantity' },
    { key: 'symbol', label: 'symbol' },
  ],
  facts: [],
  prompts: UNITS.flatMap(([entity, quantity, symbol]) => [
    prompt(`What is measured by the ${entity}`, quantity, entity, 0),
    prompt(`How is it written, the ${entity}`, symbol, entity, 1),
  ]),
  // Longer than the model reads, which does not matter as long as nothing is learned from it.
  texts: [{ id: 't', text: 'unit '.repeat(60), entity: 'metre', split: 'TRAIN' }],
};

function prompt(text: string, answer: string, entity: string, concept: number) {
  const named = { id: `${entity}/${concept}`, prompt: text, answer, entity };
  return { ...named, concepts: [concept], template: String(concept), split: 'TRAIN' as const };
}

function job(settings: ModelSettingsInput = {}): ModelJob {
  const short = { steps: 12, batchSize: dataset.prompts.length, warmupSteps: 0, logEvery: 1, ...settings };
  return {
    kind: 'MODEL',
    settings: resolveModelSettings(short, imported.config),
    dataset,
    initial: imported,
  };
}

test('begins with the loss that the model has on the answers alone, the end token included', async () => {
  const recorder = createRecorder(dir);
  await trainModel(job({ steps: 1 }), recorder);
  const model = await loadLanguageModel(imported);
  const { encode, eosId } = model.tokenizer;
  const losses = dataset.prompts.flatMap(({ prompt, answer }) => {
    const asked = encode(prompt);
    const tokens = [...encode(`${prompt} ${answer}`), eosId];
    expect(tokens.slice(0, asked.length)).toEqual(asked);
    const z = tf.tidy(() =>
      tf.logSoftmax(
        logits(model.config, model.weights, tf.tensor2d([tokens.slice(0, -1)], undefined, 'int32')),
      ),
    );
    const values = z.dataSync();
    z.dispose();
    return tokens
      .slice(asked.length)
      .map((id, i) => -values[(asked.length + i - 1) * model.config.dVocab + id]!);
  });
  model.dispose();
  const expected = losses.reduce((sum, loss) => sum + loss, 0) / losses.length;
  expect(recorder.rows[0]!.values.loss! / expected).toBeCloseTo(1, 4);
});

test('learns the answers, in the shape and with the tokenizer that it began with', async () => {
  const result = await trainModel(job({ steps: 150, learningRate: 1e-2 }), createRecorder(dir));
  expect(result.accuracy).toEqual({ TRAIN: 1 });
  expect([result.config, result.tokenizer]).toEqual([imported.config, imported.tokenizer]);
});

test('interrupted, goes on to the numbers of a run that was not', async () => {
  const whole = await trainModel(job(), createRecorder(dir));
  const killed = createRecorder(dir, { checkpointAt: [5], killAt: 7 });
  await expect(trainModel(job(), killed)).rejects.toThrow(Killed);
  const resumeFrom = killed.checkpoints[0]!.file.path;
  const resumed = await trainModel(job(), createRecorder(dir, { resumeFrom }));
  expect(resumed.weights.sha256).toBe(whole.weights.sha256);
});

test('refuses settings that contradict the model, and answers that its tokenizer does not know', async () => {
  expect(() => job({ nLayers: 5 })).toThrow('nLayers of the model is 2, got 5; leave it out');
  expect(() => job({ nCtx: 16 })).toThrow(/nCtx of the model is 32/);
  expect(() => job({ initStd: 0.1 })).toThrow(/initStd is of weights that are drawn/);
  expect(job({ nCtx: 32 }).settings).toMatchObject({ dModel: 16, initStd: null, textShare: 0 });
  const words = { ...imported, config: { ...tinyConfig, nCtx: 64 }, tokenizer: tinyTokenizerJson };
  await expect(trainModel({ ...job(), initial: words }, createRecorder(dir))).rejects.toThrow(
    /tokenizer does not know all words of the answer "length"/,
  );
});

test('refuses a model whose training is larger than memory, with both numbers, before its weights are read', async () => {
  const needed = 4 * weightBytes(imported.config);
  const limit = vi.spyOn(process, 'constrainedMemory').mockReturnValue(needed - 1);
  const nowhere = { ...job(), initial: { ...imported, weights: join(dir, 'nowhere') } };
  await expect(trainModel(nowhere, createRecorder(dir))).rejects.toMatchObject({
    code: 'LIMIT_EXCEEDED',
    message: `training the model needs ${needed} bytes of memory; this machine has ${needed - 1}`,
  });
  limit.mockRestore();
});
