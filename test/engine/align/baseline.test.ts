import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as tf from '@tensorflow/tfjs-core';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { generateBiographies } from '../../../src/data/biography.ts';
import { runBaseline } from '../../../src/engine/align/align.ts';
import type { CapturedPopulations } from '../../../src/engine/align/captured.ts';
import { capturePrompts } from '../../../src/engine/align/captured.ts';
import { measureFaithfulness } from '../../../src/engine/align/faithfulness.ts';
import { splitPopulations } from '../../../src/engine/align/population.ts';
import type { BaselineJob, BaselineResult } from '../../../src/engine/contract/alignment.ts';
import { resolveBaselineSettings } from '../../../src/engine/contract/baselineSettings.ts';
import type { ModelRef } from '../../../src/engine/contract/model.ts';
import { modelSettings } from '../../../src/engine/contract/modelSettings.ts';
import { generate } from '../../../src/engine/model/generate.ts';
import { type LanguageModel, loadLanguageModel } from '../../../src/engine/model/languageModel.ts';
import { trainModel } from '../../../src/engine/model/train.ts';
import { loadSae } from '../../../src/engine/sae/sae.ts';
import { loadTestBackend } from '../../helpers/engine.ts';
import { createRecorder, Killed } from '../model/recorder.ts';

const dataset = generateBiographies({ people: 8, seed: 3 });
const settings = resolveBaselineSettings(
  {
    layer: 0,
    nFree: 40,
    steps: 60,
    batchSize: 32,
    sparse: 0.1,
    learningRate: 1e-2,
    unseenShare: 0.25,
    validationShare: 0.25,
  },
  6,
);
let workDir: string;
let ref: ModelRef;
let model: LanguageModel;
let captured: CapturedPopulations;
let result: BaselineResult;

beforeAll(async () => {
  await loadTestBackend();
  workDir = await mkdtemp(join(tmpdir(), 'baseline-'));
  const small = { nLayers: 2, dModel: 16, nHeads: 2, steps: 250, batchSize: 32, warmupSteps: 10 };
  const trained = await trainModel(
    { kind: 'MODEL', settings: modelSettings.parse({ ...small, learningRate: 1e-2 }), dataset },
    createRecorder(workDir),
  );
  ref = { weights: trained.weights.path, config: trained.config, tokenizer: trained.tokenizer };
  model = await loadLanguageModel(ref);
  captured = await capturePrompts(
    model,
    splitPopulations(dataset, settings),
    settings,
    createRecorder(workDir),
  );
  result = await runBaseline(job(), createRecorder(workDir));
});
afterAll(async () => {
  model.dispose();
  await rm(workDir, { recursive: true });
});

const job = (input: Partial<BaselineJob['settings']> = {}): BaselineJob => ({
  ...{ kind: 'BASELINE', model: ref, dataset },
  settings: { ...settings, ...input },
});

test('a baseline measures each split, each concept and each replacement', () => {
  expect(result.measures.map(({ split }) => split)).toEqual(['TRAIN', 'VALIDATION', 'TEST_OOD']);
  for (const { matrix, valueAccuracy, accuracy, diagonalStrength } of result.measures) {
    expect([matrix.length, matrix[0]!.length, valueAccuracy]).toEqual([6, 6, null]);
    expect(accuracy).toBeCloseTo(diagonalStrength, 6);
  }
  expect(result.conceptLatents.map(({ concept }) => concept)).toEqual([0, 1, 2, 3, 4, 5]);
  for (const { latent, separability, fragmentation } of result.conceptLatents) {
    expect(latent).toBeLessThan(40);
    expect(separability).toBeGreaterThan(0);
    expect(fragmentation).toBeGreaterThanOrEqual(1);
  }
  expect(result.faithfulness).toHaveLength(12);
});

test('its file is an SAE without slots that knows what the concepts are', async () => {
  const sae = await loadSae(result.weights.path);
  expect(sae.config).toMatchObject({ nConcepts: 0, nFree: 40, activation: 'RELU' });
  expect(sae.settings).toMatchObject({ layer: 0, seed: 0, unseenShare: 0.25 });
  expect(sae.concepts).toEqual(dataset.concepts.map(({ key }) => key));
  expect(sae.conceptMeans).toHaveLength(6 * 16);
  sae.dispose();
});

test('clean answers are those of greedy generation, and the reconstruction stands between them and zeros', async () => {
  const sae = await loadSae(result.weights.path);
  const measured = await measureFaithfulness({ model, sae }, captured, async () => {});
  const of = (replacement: string) =>
    measured.find((f) => f.split === 'TRAIN' && f.replacement === replacement)!;
  const asked = [...captured.SEEN, ...captured.UNSEEN].filter(({ split }) => split === 'TRAIN');
  expect(of('CLEAN').prompts).toBe(asked.length); // fewer than the most that are asked
  const answers = await generate(
    model,
    asked.map(({ prompt }) => model.tokenizer.encode(prompt)),
    { maxNewTokens: 8 },
  );
  const right = answers.filter(
    ({ text, reason }, i) =>
      reason === 'EOS' &&
      text === model.tokenizer.decode(model.tokenizer.encode(` ${asked[i]!.answer}`)).trim(),
  );
  expect(of('CLEAN').correct).toBe(right.length);
  expect(right.length).toBeGreaterThan(0);
  // Of what is answered right, generation tells the probability of each token of the answer.
  const isRight = (i: number) => right.includes(answers[i]!);
  const known = { SEEN: asked.filter((_, i) => isRight(i)), VALIDATION: [], UNSEEN: [] };
  const [clean] = await measureFaithfulness({ model, sae }, known, async () => {});
  const logs = right.flatMap(({ tokens }) => tokens.map(({ probability }) => Math.log(probability)));
  expect(clean!.crossEntropy).toBeCloseTo(-logs.reduce((sum, log) => sum + log, 0) / logs.length, 4);
  // Zeros written by hand into the same place change the answers alike.
  const zeroed = await generate(
    model,
    asked.map(({ prompt }) => model.tokenizer.encode(prompt)),
    { maxNewTokens: 8, edit: { layer: 0, values: new Float32Array(asked.length * 16) } },
  );
  const stillRight = zeroed.filter(
    ({ text, reason }, i) =>
      reason === 'EOS' &&
      text === model.tokenizer.decode(model.tokenizer.encode(` ${asked[i]!.answer}`)).trim(),
  );
  expect(of('ZERO').correct).toBe(stillRight.length);
  expect(of('RECONSTRUCTION').crossEntropy).toBeGreaterThan(of('CLEAN').crossEntropy);
  expect(of('RECONSTRUCTION').crossEntropy).toBeLessThan(of('ZERO').crossEntropy);
  expect(of('RECONSTRUCTION').crossEntropy).toBeLessThan(of('MEAN').crossEntropy);
  sae.dispose();
});

test('a baseline goes on from a checkpoint to the same result, and leaves no tensor behind', async () => {
  const before = [tf.memory().numTensors, tf.engine().backend.numDataIds()];
  const killed = createRecorder(workDir, { checkpointAt: [30], killAt: 40 });
  await expect(runBaseline(job(), killed)).rejects.toThrow(Killed);
  const resumeFrom = killed.checkpoints[0]!.file.path;
  const resumed = await runBaseline(job(), createRecorder(workDir, { resumeFrom }));
  expect(resumed).toEqual(result);
  expect([tf.memory().numTensors, tf.engine().backend.numDataIds()]).toEqual(before);
});

test.each(['TOPK', 'BATCH_TOPK'] as const)('a %s baseline is stored as it is used', async (activation) => {
  const run = await runBaseline(job({ activation, k: 4, decoderNorm: 'UNIT' }), createRecorder(workDir));
  const sae = await loadSae(run.weights.path);
  expect('threshold' in sae.weights).toBe(activation === 'BATCH_TOPK');
  expect(run.measures[0]!.l0).toBeLessThan(activation === 'TOPK' ? 4.001 : 10);
  sae.dispose();
});

test('a layer above the model is refused before any work', async () => {
  const recorder = createRecorder(workDir);
  await expect(runBaseline(job({ layer: 2 }), recorder)).rejects.toMatchObject({
    code: 'INVALID_INPUT',
    path: ['settings', 'layer'],
  });
  expect(recorder.progressed).toEqual([]);
});

test.each<[object, string[]]>([
  [{ activation: 'LINEAR' }, ['settings', 'activation']],
  [{ activation: 'TOPK', k: 50, nFree: 40 }, ['settings', 'k']],
  [{ unseenShare: 0.6, validationShare: 0.5 }, ['settings', 'unseenShare']],
  [{ steps: 0 }, ['settings', 'steps']],
])('settings %j are refused with their path', (input, path) => {
  expect(() => resolveBaselineSettings(input, 6)).toThrow(expect.objectContaining({ path }));
});

test('settings left out make it as large and as long in training as an alignment', () => {
  expect(resolveBaselineSettings({}, 6)).toMatchObject({ nFree: 1030, steps: 1100, batchSize: 256 });
});
