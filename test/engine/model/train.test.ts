import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as tf from '@tensorflow/tfjs-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { sameAnswer } from '../../../src/data/answers.ts';
import { type EngineDataset, SPLITS, type Split } from '../../../src/engine/contract/dataset.ts';
import type { ModelJob, ModelResult } from '../../../src/engine/contract/model.ts';
import { modelSettings } from '../../../src/engine/contract/modelSettings.ts';
import type { MetricRow } from '../../../src/engine/contract/protocol.ts';
import { generate } from '../../../src/engine/model/generate.ts';
import { loadLanguageModel } from '../../../src/engine/model/languageModel.ts';
import { learningRateAt } from '../../../src/engine/model/schedule.ts';
import { trainModel } from '../../../src/engine/model/train.ts';
import { loadTestBackend } from '../../helpers/engine.ts';
import { createRecorder, Killed, type Recorder } from './recorder.ts';

let workDir: string;
beforeAll(async () => {
  await loadTestBackend();
  workDir = await mkdtemp(join(tmpdir(), 'alignsae-train-'));
});
afterAll(() => rm(workDir, { recursive: true }));

/** Eight people, a city of one or two words and a craft each, asked in three ways; no phrasing in two splits. */
const cities = ['Oslo', 'New York', 'Lima', 'San Juan', 'Rome', 'Cairo', 'Hong Kong', 'Quito'];
const crafts = ['weaving', 'glass', 'clocks', 'boats', 'bread', 'maps', 'violins', 'kites'];
const phrasings: [Split, string, string][] = [
  ['TRAIN', 'Where does X live ?', 'What does X make ?'],
  ['VALIDATION', 'X lives in', 'X makes'],
  ['TEST_OOD', 'home of X :', 'work of X :'],
];
const dataset: EngineDataset = {
  concepts: [
    { key: 'city', label: 'city' },
    { key: 'craft', label: 'craft' },
  ],
  facts: [],
  prompts: [...'ABCDEFGH'].flatMap((entity, i) =>
    phrasings.flatMap(([split, ...templates]) =>
      templates.map((template, concept) => ({
        id: `${entity}/${template}`,
        prompt: template.replace('X', entity),
        answer: [cities, crafts][concept]![i]!,
        entity,
        concepts: [concept],
        template,
        split,
      })),
    ),
  ),
  texts: [...'ABCDEFGH'].map((entity, i) => ({
    id: entity,
    text: `${entity} lives in ${cities[i]} .`,
    entity,
    split: 'TRAIN',
  })),
};

const settings = modelSettings.parse({
  nLayers: 2,
  nHeads: 2,
  dModel: 16,
  nCtx: 9,
  steps: 150,
  warmupSteps: 10,
  batchSize: 16,
  learningRate: 1e-2,
  logEvery: 1,
});
const job = (changes: Partial<ModelJob['settings']> = {}): ModelJob => ({
  kind: 'MODEL',
  settings: { ...settings, ...changes },
  dataset,
});
const short = job({ steps: 12, nLayers: 1 });
const timeless = (rows: MetricRow[]) => rows.map(({ step, values }) => ({ step, values }));

describe('a small model', () => {
  let result: ModelResult;
  let recorder: Recorder;
  beforeAll(async () => {
    recorder = createRecorder(workDir);
    result = await trainModel(job(), recorder);
  });

  test('overfits: all training answers right, the loss near what texts leave open', () => {
    expect(result.accuracy.TRAIN).toBe(1);
    expect(recorder.rows[0]!.values.loss).toBeGreaterThan(3);
    expect(result.finalLoss).toBeLessThan(0.5);
    expect(recorder.rows.at(-1)!.values.loss).toBe(result.finalLoss);
  });

  test('generates, loaded from its file, exactly the share of whole answers that was measured', async () => {
    const model = await loadLanguageModel({ ...result, weights: result.weights.path });
    for (const split of SPLITS) {
      const prompts = dataset.prompts.filter((prompt) => prompt.split === split);
      const asked = prompts.map(({ prompt }) => model.tokenizer.encode(prompt));
      const answers = await generate(model, asked, { maxNewTokens: 4 });
      const right = answers.filter(({ text }, i) => sameAnswer(text, prompts[i]!.answer!));
      expect(right.length / prompts.length, split).toBe(result.accuracy[split]);
    }
    model.dispose();
  });

  test('reports every step once, sampled accuracies on the way, and progress up to 1', () => {
    const { rows, progressed } = recorder;
    expect(rows.map(({ step }) => step)).toEqual(Array.from({ length: 150 }, (_, i) => i + 1));
    expect(Object.keys(rows[7]!.values).sort()).toEqual(['gradNorm', 'learningRate', 'loss']);
    const probes = rows.filter(({ values }) => 'accuracy/test_ood' in values);
    expect(probes.map(({ step }) => step)).toEqual([15, 30, 45, 60, 75, 90, 105, 120, 135, 150]);
    expect(probes.at(-1)!.values['accuracy/train']).toBe(1);
    const shares = progressed.map(({ progress }) => progress);
    expect(shares).toEqual([...shares].sort((a, b) => a - b));
    expect(progressed.at(-1)).toEqual({ phase: 'EVALUATE', progress: 1, etaSeconds: 0 });
    expect(progressed[100]!.etaSeconds).toBeGreaterThan(0);
  });
});

test('the same seed gives the same file, another seed another, and no tensor stays behind', async () => {
  const first = await trainModel(short, createRecorder(workDir));
  const before = tf.memory().numTensors;
  const second = await trainModel(short, createRecorder(workDir));
  expect(tf.memory().numTensors).toBe(before);
  const other = await trainModel(job({ steps: 12, nLayers: 1, seed: 1 }), createRecorder(workDir));
  expect(second.weights.sha256).toBe(first.weights.sha256);
  expect(other.weights.sha256).not.toBe(first.weights.sha256);
});

describe('a run killed after a checkpoint', () => {
  let whole: Recorder;
  let expected: ModelResult;
  beforeAll(async () => {
    whole = createRecorder(workDir);
    expected = await trainModel(short, whole);
  });

  test.each([1, 5, 12])('at step %i goes on to the numbers of one never killed', async (checkpointAt) => {
    const killed = createRecorder(workDir, {
      checkpointAt: [checkpointAt],
      killAt: Math.min(checkpointAt + 2, 12),
    });
    await expect(trainModel(short, killed)).rejects.toThrow(Killed);
    const { step, file } = killed.checkpoints[0]!;
    expect(step).toBe(checkpointAt);
    const resumed = createRecorder(workDir, { resumeFrom: file.path });
    const result = await trainModel(short, resumed);
    expect(timeless(resumed.rows)).toEqual(timeless(whole.rows).filter((row) => row.step > step));
    expect(result).toEqual(expected);
  });

  test('does not resume from the checkpoint of other settings', async () => {
    const recorder = createRecorder(workDir, { checkpointAt: [2], killAt: 2 });
    await expect(trainModel(short, recorder)).rejects.toThrow(Killed);
    const resumed = createRecorder(workDir, { resumeFrom: recorder.checkpoints[0]!.file.path });
    await expect(
      trainModel({ ...short, settings: { ...short.settings, steps: 13 } }, resumed),
    ).rejects.toMatchObject({ code: 'CONFLICT' });
  });
});

test('a sequence that does not fit is named, and a diverging loss ends the run', async () => {
  await expect(trainModel(job({ nCtx: 6 }), createRecorder(workDir))).rejects.toMatchObject({
    code: 'INVALID_INPUT',
    path: ['settings', 'nCtx'],
    message: 'nCtx is 6, but "Where does B live ?" needs 7 tokens',
  });
  const wild = job({
    learningRate: 1,
    clipNorm: 1e30,
    initStd: 1,
    warmupSteps: 0,
    weightDecay: 10,
    steps: 40,
    nLayers: 1,
  });
  await expect(trainModel(wild, createRecorder(workDir))).rejects.toMatchObject({ code: 'ENGINE_FAILED' });
});

test('the learning rate warms up linearly and ends at its share', () => {
  const schedule = modelSettings.parse({
    learningRate: 0.2,
    warmupSteps: 10,
    steps: 110,
    finalLearningRateShare: 0.1,
  });
  expect([1, 5, 10, 60, 110].map((step) => learningRateAt(schedule, step))).toEqual([
    expect.closeTo(0.02),
    expect.closeTo(0.1),
    expect.closeTo(0.2),
    expect.closeTo(0.11),
    expect.closeTo(0.02),
  ]);
});
