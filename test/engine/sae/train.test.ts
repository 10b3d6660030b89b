import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as tf from '@tensorflow/tfjs-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createRandom } from '../../../src/engine/random.ts';
import type { Rows } from '../../../src/engine/sae/batches.ts';
import { isBetter } from '../../../src/engine/sae/best.ts';
import { ALIGNMENT_PRESETS, resolveAlignmentSettings } from '../../../src/engine/sae/presets.ts';
import type { SaeConfig } from '../../../src/engine/sae/sae.ts';
import type { AlignmentSettingsInput } from '../../../src/engine/sae/settings.ts';
import { type SaeTraining, trainSae } from '../../../src/engine/sae/train.ts';
import { loadTestBackend } from '../../helpers/engine.ts';
import { createRecorder, Killed } from '../model/recorder.ts';

const [D, C, V] = [8, 3, 5];

/** Entities and concepts as sums of directions of their own, with a little noise: must bind perfectly. */
function separableRows(seed: number): Rows {
  const random = createRandom(seed, 'rows');
  const direction = (i: number) => Array.from({ length: D }, (_, j) => (j === i ? 1.5 : 0));
  const concepts: number[] = [];
  const entities: number[] = [];
  const x: number[] = [];
  for (let entity = 0; entity < 12; entity++) {
    for (let concept = 0; concept < C; concept++) {
      concepts.push(concept);
      entities.push(entity);
      const own = direction(C + (entity % (D - C)));
      x.push(...direction(concept).map((v, j) => v + own[j]! + 0.1 * random.normal()));
    }
  }
  return {
    x: Float32Array.from(x),
    dModel: D,
    nConcepts: C,
    concepts: Int32Array.from(concepts),
    answers: Int32Array.from(concepts, (concept) => concept + 1),
    entities: Int32Array.from(entities),
  };
}

function training(input: AlignmentSettingsInput = {}): SaeTraining {
  const stage = { steps: 30, batchSize: 24, learningRate: 3e-2 };
  const settings = resolveAlignmentSettings({
    preset: 'COUNTERFACTUAL',
    activation: 'RELU',
    nFree: 16,
    k: 4,
    valueHidden: 8,
    validateEvery: 10,
    pretrain: { ...stage, steps: 10 },
    ...input,
    posttrain: { ...stage, ...input.posttrain },
    weights: { ortho: 0.1, counterfactual: 1, ...input.weights },
  });
  const { nFree, activation, k, mode, weights } = settings;
  const hasHeads = weights.value > 0 && mode !== 'SEPARATE_ACTIVATION';
  const valueHeads = hasHeads ? { hidden: settings.valueHidden, dVocab: V } : null;
  const config: SaeConfig = { dModel: D, nFree, nConcepts: C, activation, k, valueHeads };
  const silent = Float32Array.from({ length: 2 * D }, (_, i) => Math.sin(i));
  return {
    config,
    settings,
    train: separableRows(1),
    validation: separableRows(2),
    concepts: Array.from({ length: C }, (_, i) => `c${i}`),
    silent,
    fingerprint: 'x',
  };
}

let workDir: string;
beforeAll(async () => {
  workDir = await mkdtemp(join(tmpdir(), 'sae-'));
});
afterAll(() => rm(workDir, { recursive: true }));

const run = (what: SaeTraining, options: Parameters<typeof createRecorder>[1] = {}) => {
  const recorder = createRecorder(workDir, options);
  return { recorder, result: trainSae(what, recorder, () => {}) };
};

describe.each(['auto', 'wasm'] as const)('on the %s backend', (choice) => {
  beforeAll(() => loadTestBackend(choice));

  test('binds a separable set perfectly, and says so while it trains', async () => {
    const { recorder, result } = run(training({ posttrain: { steps: 200 } }));
    expect(await result).toMatchObject({ accuracy: 1 });
    const last = recorder.rows.at(-1)!;
    expect(last.step).toBe(210);
    expect(last.values).toMatchObject({ 'validation/binding': 1, 'validation/value': 1 });
    for (let i = 0; i < C; i++) expect(last.values[`validation/binding/c${i}`]).toBe(1);
    expect(last.values.fvu).toBeLessThan(0.2);
    expect(last.values.l0).toBeGreaterThan(0);
    const terms = Object.keys(last.values).filter((name) => name.startsWith('loss/'));
    expect(terms.sort()).toEqual(
      ['bindCrossEntropy', 'bindMse', 'counterfactual', 'ortho', 'recon', 'silence', 'sparse', 'value'].map(
        (term) => `loss/${term}`,
      ),
    );
  });

  test('goes on from a checkpoint of either stage with the same numbers', async () => {
    const whole = run(training());
    const expected = await whole.result;
    for (const step of [10, 20]) {
      const killed = run(training(), { checkpointAt: [step], killAt: step + 10 });
      await expect(killed.result).rejects.toThrow(Killed);
      const { file } = killed.recorder.checkpoints[0]!;
      const resumed = run(training(), { resumeFrom: file.path });
      expect(await resumed.result).toEqual(expected);
      const values = ({ rows }: typeof whole.recorder) =>
        rows.filter((row) => row.step > step).map((row) => [row.step, row.values]);
      expect(values(resumed.recorder)).toEqual(values(whole.recorder));
    }
  });

  test('leaves no tensor behind', async () => {
    await run(training()).result;
    const before = [tf.memory().numTensors, tf.engine().backend.numDataIds()];
    await run(training()).result;
    expect([tf.memory().numTensors, tf.engine().backend.numDataIds()]).toEqual(before);
  });
});

describe('on the best backend', () => {
  beforeAll(() => loadTestBackend());

  test('gives the same weights for the same seed and others for another', async () => {
    const [first, second, other] = [
      await run(training()).result,
      await run(training()).result,
      await run(training({ seed: 1 })).result,
    ];
    expect(second).toEqual(first);
    expect(other!.weights['encoder.weight']).not.toEqual(first!.weights['encoder.weight']);
  });

  test('refuses the checkpoint of another job', async () => {
    const { recorder, result } = run(training(), { checkpointAt: [10] });
    await result;
    const resumed = run(
      { ...training(), fingerprint: 'y' },
      { resumeFrom: recorder.checkpoints[0]!.file.path },
    );
    await expect(resumed.result).rejects.toThrow('another job');
  });

  test('reports a loss that is not finite with the stage to slow down', async () => {
    const what = training();
    what.train.x.fill(1e30); // its square is no float32
    await expect(run(what).result).rejects.toMatchObject({
      code: 'ENGINE_FAILED',
      path: ['settings', 'pretrain', 'learningRate'],
    });
  });

  const moved = async (input: AlignmentSettingsInput) => {
    const short = { weights: { silence: 0 }, ...input };
    const [before, after] = [
      await run(training({ ...short, posttrain: { steps: 0 } })).result,
      await run(training({ ...short, posttrain: { steps: 10 } })).result,
    ];
    return Object.keys(after.weights).filter(
      (name) => String(before.weights[name]!.data) !== String(after.weights[name]!.data),
    );
  };
  const AUTOENCODER = ['encoder.weight', 'encoder.bias', 'decoder.weight', 'decoder.bias'];
  const HEADS = ['value.hidden.weight', 'value.hidden.bias', 'value.out.weight', 'value.out.bias'];

  test.each([
    ['JOINT', [...AUTOENCODER, ...HEADS]],
    ['SEPARATE_ACTIVATION', AUTOENCODER],
    ['SEPARATE_VALUE', HEADS],
  ] as const)('mode %s trains what it names and nothing else', async (mode, names) => {
    expect(await moved({ mode })).toEqual(names);
  });

  test('the silence term keeps slots quiet where no concept is in play', async () => {
    const quiet = await run(training({ weights: { silence: 10 }, posttrain: { steps: 150 } }));
    await quiet.result;
    const { values } = quiet.recorder.rows.at(-1)!;
    expect(values['loss/silence']).toBeLessThan(0.05);
  });

  test.each(['LINEAR', 'TOPK', 'BATCH_TOPK'] as const)('%s latents train too', async (activation) => {
    const { recorder, result } = run(training({ activation, posttrain: { steps: 150 } }));
    expect((await result).accuracy).toBeGreaterThan(0.9);
    const { l0 } = recorder.rows.at(-1)!.values;
    if (activation === 'LINEAR') expect(l0).toBe(16);
    if (activation === 'TOPK') expect(l0).toBeLessThanOrEqual(4); // ReLU may take more away
    if (activation === 'BATCH_TOPK') expect(Math.abs(l0! - 4)).toBeLessThan(1); // k on the mean
  });
});

describe('the best checkpoint', () => {
  test('has the highest slot accuracy, ties go by loss, and the first of equals stays', () => {
    const best = { step: 10, accuracy: 0.9, loss: 1 };
    expect(isBetter(best, null)).toBe(true);
    expect(isBetter({ step: 20, accuracy: 0.91, loss: 5 }, best)).toBe(true);
    expect(isBetter({ step: 20, accuracy: 0.89, loss: 0.1 }, best)).toBe(false);
    expect(isBetter({ step: 20, accuracy: 0.9, loss: 0.9 }, best)).toBe(true);
    expect(isBetter({ step: 20, accuracy: 0.9, loss: 1 }, best)).toBe(false);
  });
});

describe('settings', () => {
  test('are the preset where nothing else is said, PAPER by default', () => {
    expect(resolveAlignmentSettings({})).toEqual(ALIGNMENT_PRESETS.PAPER);
    expect(resolveAlignmentSettings({ preset: 'COUNTERFACTUAL' })).toEqual(ALIGNMENT_PRESETS.COUNTERFACTUAL);
    const mixed = resolveAlignmentSettings({ nFree: 64, weights: { ortho: 2 }, pretrain: { steps: 5 } });
    const { PAPER } = ALIGNMENT_PRESETS;
    expect(mixed.weights).toEqual({ ...PAPER.weights, ortho: 2 });
    expect(mixed.pretrain).toEqual({ ...PAPER.pretrain, steps: 5 });
    expect(mixed.nFree).toBe(64);
  });

  test.each<[AlignmentSettingsInput, string[]]>([
    [{ nFree: 0 }, ['settings', 'nFree']],
    [{ activation: 'TOPK', k: 2000 }, ['settings', 'k']],
    [{ posttrain: { learningRate: Number.NaN } }, ['settings', 'posttrain', 'learningRate']],
    [{ weights: { ortho: -1 } }, ['settings', 'weights', 'ortho']],
    [{ unseenShare: 0.6, validationShare: 0.5 }, ['settings', 'unseenShare']],
    [{ mode: 'SEPARATE_VALUE', weights: { value: 0 } }, ['settings', 'weights', 'value']],
    [{ preset: 'OTHER' as 'PAPER' }, ['settings', 'preset']],
  ])('%j is refused with its path', (input, path) => {
    expect(() => resolveAlignmentSettings(input)).toThrow(
      expect.objectContaining({ code: 'INVALID_INPUT', path }),
    );
  });
});
