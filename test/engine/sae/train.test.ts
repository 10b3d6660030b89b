import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as tf from '@tensorflow/tfjs-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import {
  ALIGNMENT_PRESETS,
  resolveAlignmentSettings,
} from '../../../src/engine/contract/alignmentPresets.ts';
import type { AlignmentSettingsInput } from '../../../src/engine/contract/alignmentSettings.ts';
import type { SaeConfig } from '../../../src/engine/contract/sae.ts';
import { decode, encode } from '../../../src/engine/sae/autoencoder.ts';
import type { Rows } from '../../../src/engine/sae/batches.ts';
import { isBetter } from '../../../src/engine/sae/best.ts';
import { type SaeTraining, trainSae } from '../../../src/engine/sae/train.ts';
import { toTensors } from '../../../src/engine/step/arrays.ts';
import { createRandom } from '../../../src/random.ts';
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

const { AUTHORS } = ALIGNMENT_PRESETS;

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

  test.each<AlignmentSettingsInput>([
    {},
    { activation: 'BATCH_TOPK', k: 2, decoderNorm: 'UNIT', deadAfter: 3, weights: { aux: 0.1 } },
  ])('goes on from a checkpoint of either stage with the same numbers, %j', async (input) => {
    const whole = run(training(input));
    const expected = await whole.result;
    for (const step of [10, 20]) {
      const killed = run(training(input), { checkpointAt: [step], killAt: step + 10 });
      await expect(killed.result).rejects.toThrow(Killed);
      const { file } = killed.recorder.checkpoints[0]!;
      const resumed = run(training(input), { resumeFrom: file.path });
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

  const TERMS = Object.keys(ALIGNMENT_PRESETS.PAPER.weights).filter((term) => term !== 'bindLogitScale');
  const ALL = { recon: 1, sparse: 1e-3, aux: 0.03, bindMse: 1, bindCrossEntropy: 1, indep: 1e-3, ortho: 0.1 };
  test.each(TERMS)(
    'weight %s can be zero: the term is gone from both stages, the others stay',
    async (term) => {
      const weights = {
        ...ALL,
        value: 0.5,
        counterfactual: 1,
        silence: 1,
        counterfactualAcross: 1,
        [term]: 0,
      };
      const known = Object.fromEntries(Object.entries(weights).filter(([name]) => TERMS.includes(name)));
      const { recorder, result } = run(
        training({ weights: known, logEvery: 1, pretrain: { steps: 2 }, posttrain: { steps: 2 } }),
      );
      await result;
      const stages = [recorder.rows[1]!, recorder.rows[3]!].map(({ values }) =>
        Object.keys(values).flatMap((name) => (name.startsWith('loss/') ? [name.slice('loss/'.length)] : [])),
      );
      const left = (terms: readonly string[]) => terms.filter((name) => name !== term).sort();
      expect(stages[0]!.sort()).toEqual(left(['aux', 'recon', 'sparse']));
      expect(stages[1]!.sort()).toEqual(left(TERMS));
    },
  );

  test('the first stage of AUTHORS is reconstruction alone, also where the second has sparsity', async () => {
    const stages = { pretrain: { ...AUTHORS.pretrain, steps: 1 }, posttrain: { steps: 1 } };
    const { recorder, result } = run(training({ preset: 'AUTHORS', logEvery: 1, ...stages }));
    await result;
    const [first, second] = recorder.rows.map(({ values }) => Object.keys(values));
    expect(first!.filter((name) => name.startsWith('loss/'))).toEqual(['loss/recon']);
    expect(second).toContain('loss/sparse');
  });

  test('a constant rate moves as a cosine does at its first step, and further at its last', async () => {
    const lossesOf = async (schedule: 'CONSTANT' | 'COSINE') => {
      const { recorder, result } = run(training({ logEvery: 1, posttrain: { steps: 10, schedule } }));
      const { weights } = await result;
      return { losses: recorder.rows.map(({ values }) => values.loss), weights };
    };
    const [constant, cosine] = [await lossesOf('CONSTANT'), await lossesOf('COSINE')];
    expect(constant.losses.slice(0, 12)).toEqual(cosine.losses.slice(0, 12)); // 10 before, and what step 1 led to
    expect(constant.losses.at(-1)).not.toBe(cosine.losses.at(-1));
    expect(constant.weights).not.toEqual(cosine.weights);
  });

  test('weight decay shortens decoder rows', async () => {
    const lengthOf = async (weightDecay: number) => {
      const { weights } = await run(training({ weightDecay })).result;
      return Math.hypot(...weights['decoder.weight']!.data);
    };
    expect(await lengthOf(1)).toBeLessThan(0.95 * (await lengthOf(0)));
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

describe('sparse free latents', () => {
  beforeAll(() => loadTestBackend());
  const unlabelled = (input: AlignmentSettingsInput): SaeTraining => {
    const stages = {
      pretrain: { steps: 150, batchSize: 36, learningRate: 1e-2 },
      posttrain: { steps: 0, batchSize: 36 },
    };
    const base = training({ ...input, ...stages });
    const config = { ...base.config, nConcepts: 0, valueHeads: null };
    return { ...base, config, validation: base.train };
  };

  test('an SAE without slots trains on the first stage alone and says how it rebuilds', async () => {
    const what = unlabelled({ activation: 'TOPK', k: 3 });
    const { recorder, result } = run(what);
    const { weights } = await result;
    const last = recorder.rows.at(-1)!;
    expect(last.step).toBe(150);
    // The same by the definition: x rebuilt with the stored weights, row by row.
    const measured = tf.tidy(() => {
      const tensors = toTensors(weights);
      const x = tf.tensor2d(what.train.x, [what.train.concepts.length, D]);
      const latents = encode(what.config, tensors, x);
      const fired = tf.cast(tf.notEqual(latents.free, 0), 'float32');
      return {
        fvu: tf
          .div(tf.sum(tf.squaredDifference(decode(tensors, latents), x)), tf.sum(tf.square(x)))
          .dataSync()[0]!,
        l0: tf.mean(tf.sum(fired, 1)).dataSync()[0]!,
        dead:
          tf
            .sum(fired, 0)
            .dataSync()
            .filter((rows) => rows === 0).length / 16,
      };
    });
    expect(last.values.fvu).toBeCloseTo(measured.fvu, 4);
    expect(last.values.l0).toBeCloseTo(measured.l0, 4);
    expect(last.values.dead).toBeCloseTo(measured.dead, 4);
    const looks = recorder.rows.filter(({ values }) => values.fvu !== undefined).map(({ step }) => step);
    expect(looks).toEqual(Array.from({ length: 15 }, (_, i) => 10 * (i + 1)));
  });

  test('BATCH_TOPK fires k times a row on the mean, by the threshold that it stores', async () => {
    const what = unlabelled({ activation: 'BATCH_TOPK', k: 3 });
    const { recorder, result } = run(what);
    expect((await result).weights.threshold!.data[0]).toBeGreaterThan(0);
    expect(Math.abs(recorder.rows.at(-1)!.values.l0! - 3)).toBeLessThan(0.3);
  });

  test('rows of the decoder are stored at length 1 where that is asked for', async () => {
    const { weights } = await run(training({ decoderNorm: 'UNIT' })).result;
    const { data } = weights['decoder.weight']!;
    for (let latent = 0; latent < 16; latent++) {
      expect(Math.hypot(...data.subarray(latent * D, (latent + 1) * D))).toBeCloseTo(1, 5);
    }
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

const NOTHING = Object.fromEntries(
  Object.keys(ALIGNMENT_PRESETS.PAPER.weights).flatMap((term) =>
    term === 'bindLogitScale' ? [] : [[term, 0]],
  ),
);

describe('settings', () => {
  test('may leave everything out where there is nothing to train', () => {
    const none = { pretrain: { steps: 0 }, posttrain: { steps: 0 }, weights: NOTHING };
    expect(resolveAlignmentSettings(none).weights.recon).toBe(0);
  });

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
    [{ activation: 'BATCH_TOPK', k: 2000 }, ['settings', 'k']],
    [{ activation: 'TOPK', weights: { recon: 0 } }, ['settings', 'weights']],
    [{ activation: 'LINEAR', weights: { recon: 0, sparse: 0, aux: 1 } }, ['settings', 'weights']],
    [{ pretrain: { steps: 0 }, weights: NOTHING }, ['settings', 'weights']],
  ])('%j is refused with its path', (input, path) => {
    expect(() => resolveAlignmentSettings(input)).toThrow(
      expect.objectContaining({ code: 'INVALID_INPUT', path }),
    );
  });
});
