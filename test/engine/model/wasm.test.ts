import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as tf from '@tensorflow/tfjs-core';
import { beforeAll, expect, test } from 'vitest';
import { modelSettings } from '../../../src/engine/contract/modelSettings.ts';
import { logits } from '../../../src/engine/model/decoder.ts';
import { generate } from '../../../src/engine/model/generate.ts';
import { trainModel } from '../../../src/engine/model/train.ts';
import { loadTestBackend } from '../../helpers/engine.ts';
import { createRecorder, Killed } from './recorder.ts';
import { referenceForward } from './reference.ts';
import { tinyConfig, tinyModel, tinyPrompts, tinyTokenizer, tinyWeights } from './tiny.ts';

beforeAll(async () => {
  await loadTestBackend('wasm');
});

test('on wasm the model gives the logits and the greedy tokens of an independent implementation', async () => {
  const model = tinyModel();
  const tokens = [3, 9, 4, 4, 10, 7];
  const reference = referenceForward(tinyConfig, tinyWeights(), tokens).logits;
  const values = tf.tidy(() =>
    logits(tinyConfig, model.weights, tf.tensor2d([tokens], undefined, 'int32')).dataSync(),
  );
  for (const [i, expected] of reference.flat().entries()) expect(values[i]).toBeCloseTo(expected, 3);

  const prompts = tinyPrompts(5);
  const generations = await generate(model, prompts, { maxNewTokens: 2 });
  for (const [i, { tokens }] of generations.entries()) {
    const generated = [...prompts[i]!];
    while (generated.length < prompts[i]!.length + 2) {
      const last = referenceForward(tinyConfig, tinyWeights(), generated).logits.at(-1)!;
      const best = last.indexOf(Math.max(...last));
      if (best === tinyTokenizer.eosId) break;
      generated.push(best);
    }
    expect(tokens.map(({ id }) => id)).toEqual(generated.slice(prompts[i]!.length));
  }
  model.dispose();
});

test('on wasm a one-hot of floats is one, outside its depth all off', () => {
  const rows = tf.tidy(() => tf.oneHot(tf.tensor1d([1, 5], 'int32'), 3, 2, -1, 'float32').dataSync());
  expect([...rows]).toEqual([-1, 2, -1, -1, -1, -1]);
});

test('on wasm a run trains, and resumed it repeats the numbers of one never killed', async () => {
  const workDir = await mkdtemp(join(tmpdir(), 'alignsae-wasm-'));
  const settings = { nLayers: 1, nHeads: 2, dModel: 8, nCtx: 8, steps: 8, warmupSteps: 0, batchSize: 4 };
  const job = {
    kind: 'MODEL' as const,
    settings: modelSettings.parse({ ...settings, logEvery: 1 }),
    dataset: {
      concepts: [{ key: 'city', label: 'city' }],
      facts: [],
      prompts: ['Oslo', 'Lima', 'Rome', 'Quito'].map((answer, i) => {
        const entity = 'ABCD'[i]!;
        const prompt = `Where does ${entity} live ?`;
        return { id: entity, prompt, answer, entity, concepts: [0], template: 't', split: 'TRAIN' as const };
      }),
      texts: [],
    },
  };
  const whole = createRecorder(workDir);
  const before = tf.memory().numTensors;
  const expected = await trainModel(job, whole);
  expect(tf.memory().numTensors).toBe(before);
  expect(whole.rows.at(-1)!.values.loss).toBeLessThan(whole.rows[0]!.values.loss!);
  const killed = createRecorder(workDir, { checkpointAt: [3], killAt: 5 });
  await expect(trainModel(job, killed)).rejects.toThrow(Killed);
  const resumed = createRecorder(workDir, { resumeFrom: killed.checkpoints[0]!.file.path });
  expect(await trainModel(job, resumed)).toEqual(expected);

  // A batch is all four questions in any order, so another seed's first loss differs by its weights alone.
  const other = createRecorder(workDir);
  await trainModel({ ...job, settings: { ...job.settings, seed: 1, steps: 1 } }, other);
  expect(Math.abs(other.rows[0]!.values.loss! - whole.rows[0]!.values.loss!)).toBeGreaterThan(1e-3);
  await rm(workDir, { recursive: true });
});
