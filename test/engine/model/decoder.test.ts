import * as tf from '@tensorflow/tfjs-core';
import { beforeAll, describe, expect, test } from 'vitest';
import { gpt2Decoder } from '../../../src/engine/contract/modelDecoder.ts';
import { modelWeights } from '../../../src/engine/contract/modelWeights.ts';
import { logits, logitsFromResid, residPost } from '../../../src/engine/model/decoder.ts';
import { initWeights } from '../../../src/engine/model/languageModel.ts';
import { nextTokenLoss } from '../../../src/engine/model/loss.ts';
import { packBatch } from '../../../src/engine/model/packing.ts';
import type { Tensors } from '../../../src/engine/step/stepper.ts';
import { describeConfig } from '../../../src/formats/huggingFace/config.ts';
import { loadTestBackend } from '../../helpers/engine.ts';
import { referenceForward, softmax } from './reference.ts';
import { tinyConfig, tinyModel, tinyTokenizer, tinyWeights } from './tiny.ts';

beforeAll(async () => {
  await loadTestBackend();
});

const tokens = [3, 9, 4, 4, 10, 7];

function run(forward: (weights: Tensors) => tf.Tensor): number[] {
  const model = tinyModel();
  const values = tf.tidy(() => Array.from(forward(model.weights).dataSync()));
  model.dispose();
  return values;
}

const forwardOf = (ids: number[]) =>
  run((w) => logits(tinyConfig, w, tf.tensor2d([ids], undefined, 'int32')));

describe('the forward pass', () => {
  const reference = referenceForward(tinyConfig, tinyWeights(), tokens);

  test('gives the logits of an independent implementation', () => {
    expectClose(forwardOf(tokens), reference.logits.flat(), 1e-4);
  });

  test.each([0, 1, 2])('gives its residual stream after block %i, from which the rest goes on', (layer) => {
    const ids = () => tf.tensor2d([tokens], undefined, 'int32');
    expectClose(
      run((w) => residPost(tinyConfig, w, ids(), layer)),
      reference.resid[layer]!.flat(),
      1e-4,
    );
    const resumed = run((w) => logitsFromResid(tinyConfig, w, residPost(tinyConfig, w, ids(), layer), layer));
    expectClose(resumed, reference.logits.flat(), 1e-4);
  });

  test('passes a block without an MLP as if that wrote nothing, and has no weights for it', () => {
    const decoder = gpt2Decoder(tinyConfig);
    const config = { ...tinyConfig, decoder: { ...decoder, mlp: { ...decoder.mlp, missing: 1 } } };
    expect(Object.keys(modelWeights(config)).filter((name) => /^h\.0\.(mlp|ln_2)/.test(name))).toEqual([]);
    expect(modelWeights(config)['h.1.mlp.c_fc.weight']).toBeDefined();
    const ids = () => tf.tensor2d([tokens], undefined, 'int32');
    const without = run((w) => logits(config, w, ids()));
    const silent = run((w) => {
      const written = ['weight', 'bias'].map((part) => `h.0.mlp.c_proj.${part}`);
      return logits(
        tinyConfig,
        { ...w, ...Object.fromEntries(written.map((name) => [name, tf.zerosLike(w[name]!)])) },
        ids(),
      );
    });
    expectClose(without, silent, 1e-5);
    expect(maxDistance(without, reference.logits.flat())).toBeGreaterThan(0.1);
    expect(() => describeConfig(config, tinyTokenizer)).toThrow('cannot be exported');
  });

  test('lets no position see what comes after it', () => {
    const changed = forwardOf([...tokens.slice(0, 3), 8, 5, 3]);
    const unchanged = 3 * tinyConfig.dVocab;
    expectClose(changed.slice(0, unchanged), forwardOf(tokens).slice(0, unchanged), 1e-6);
    expect(maxDistance(changed.slice(unchanged), forwardOf(tokens).slice(unchanged))).toBeGreaterThan(0.1);
  });

  test('does not depend on padding at the right, nor on the other rows of a batch', () => {
    const padded = run((w) =>
      logits(
        tinyConfig,
        w,
        tf.tensor2d(
          [
            [5, 5, 5, 5, 5, 5, 5, 5, 5, 5],
            [...tokens, 0, 0, 0, 0],
          ],
          undefined,
          'int32',
        ),
      ),
    );
    const row = padded.slice(10 * tinyConfig.dVocab).slice(0, tokens.length * tinyConfig.dVocab);
    expectClose(row, forwardOf(tokens), 1e-5);
  });

  test('leaves no tensor behind', () => {
    forwardOf(tokens);
    const before = tf.memory().numTensors;
    forwardOf(tokens);
    expect(tf.memory().numTensors).toBe(before);
  });
});

describe('the loss', () => {
  const batch = packBatch(
    [
      { tokens, from: 3 },
      { tokens: [6, 3, 1], from: 1 },
    ],
    { sequences: 3, tokens: 11, targets: 6 },
  );

  function lossOf(weights: ReturnType<typeof tinyWeights>): number {
    return tf.tidy(() => nextTokenLoss(tinyConfig, 7)(upload(weights), upload(batch)).loss.dataSync()[0]!);
  }

  test('is the mean cross-entropy of the masked targets', () => {
    const expected = [
      ...crossEntropies(tokens, 3), // targets 4, 10, 7
      ...crossEntropies([6, 3, 1], 1), // targets 3, 1
    ];
    expect(expected).toHaveLength(5);
    expect(lossOf(tinyWeights())).toBeCloseTo(expected.reduce((a, b) => a + b) / 5, 4);
  });

  test('has the gradient of finite differences for every kind of weight', () => {
    const weights = tinyWeights();
    const gradients = tf.tidy(() => {
      const variables = Object.fromEntries(
        Object.entries(upload(weights)).map(([name, tensor]) => [name, tf.variable(tensor)]),
      );
      const { grads } = tf.variableGrads(() => nextTokenLoss(tinyConfig, 7)(variables, upload(batch)).loss);
      const found = Object.entries(variables).map(
        ([name, v]) => [name, Array.from(grads[v.name]!.dataSync())] as const,
      );
      tf.dispose(variables);
      return Object.fromEntries(found);
    });
    for (const [name, { data }] of Object.entries(weights)) {
      // Along the gradient itself the slope is its norm, which a float32 loss resolves far better than one entry's.
      const gradient = gradients[name]!;
      const norm = Math.sqrt(gradient.reduce((sum, g) => sum + g * g, 0));
      const step = 1e-2 / Math.max(norm, 1);
      const moved = (sign: number) => {
        const shifted = data.map((value, i) => value + (sign * step * gradient[i]!) / norm) as Float32Array;
        return lossOf({ ...weights, [name]: { ...weights[name]!, data: shifted } });
      };
      const slope = (moved(1) - moved(-1)) / (2 * step);
      expect(Math.abs(slope - norm), `${name}: slope ${slope}, gradient norm ${norm}`).toBeLessThan(
        0.02 * norm + 2e-4,
      );
    }
  });
});

test('initial weights: seeded, of the standard deviation asked for, projections scaled by depth', () => {
  const config = { ...tinyConfig, dModel: 32, dMlp: 128, nLayers: 2 };
  const weights = initWeights(config, 0.08, 5);
  expect(initWeights(config, 0.08, 5)['wte.weight']).toEqual(weights['wte.weight']);
  expect(initWeights(config, 0.08, 6)['wte.weight']).not.toEqual(weights['wte.weight']);
  const std = (name: string) => {
    const { data } = weights[name]!;
    return Math.sqrt(Array.from(data).reduce((sum, value) => sum + value * value, 0) / data.length);
  };
  expect(std('h.1.mlp.c_fc.weight')).toBeCloseTo(0.08, 2);
  expect(std('h.0.attn.c_proj.weight')).toBeCloseTo(0.08, 2);
  expect(std('h.1.mlp.c_proj.weight')).toBeCloseTo(0.08 / 4, 2);
  expect(std('h.1.mlp.c_fc.bias')).toBe(0);
  expect(new Set(weights['ln_f.weight']!.data)).toEqual(new Set([1]));
});

function crossEntropies(ids: number[], from: number): number[] {
  const { logits } = referenceForward(tinyConfig, tinyWeights(), ids);
  return ids.slice(from).map((target, i) => -Math.log(softmax(logits[from + i - 1]!)[target]!));
}

function upload(arrays: ReturnType<typeof tinyWeights>): Tensors {
  return Object.fromEntries(
    Object.entries(arrays).map(([name, { data, shape }]) => [name, tf.tensor(data, [...shape])]),
  );
}

function maxDistance(a: readonly number[], b: readonly number[]): number {
  return a.reduce((max, value, i) => Math.max(max, Math.abs(value - b[i]!)), 0);
}

function expectClose(actual: readonly number[], expected: readonly number[], tolerance: number): void {
  expect(actual).toHaveLength(expected.length);
  expect(maxDistance(actual, expected)).toBeLessThan(tolerance);
}
