/** Top-k latents as lists, against the same as matrices. */
import * as tf from '@tensorflow/tfjs-core';
import { beforeAll, describe, expect, test } from 'vitest';
import type { SaeConfig } from '../../../src/engine/contract/sae.ts';
import { attribute, rawOp } from '../../../src/engine/native/rawOps.ts';
import { initSae } from '../../../src/engine/sae/autoencoder.ts';
import { encodeBatch, type TrainingEncoding } from '../../../src/engine/sae/encoding.ts';
import { decodeEntries, encodeEntries, spreadEntries } from '../../../src/engine/sae/entries.ts';
import { posttrainLoss, pretrainLoss } from '../../../src/engine/sae/objective.ts';
import { toTensors } from '../../../src/engine/step/arrays.ts';
import { CompiledStepper } from '../../../src/engine/step/compiled.ts';
import { EagerStepper } from '../../../src/engine/step/eager.ts';
import { createRandom } from '../../../src/random.ts';
import { loadTestBackend } from '../../helpers/engine.ts';

const random = createRandom(8);
const numbers = (...shape: number[]) => ({
  data: Float32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, () => random.normal()),
  shape,
});

beforeAll(() => loadTestBackend('auto'));

function configOf(nConcepts: number, k: number): SaeConfig {
  return { dModel: 24, nFree: 50, nConcepts, activation: 'TOPK', k, valueHeads: null };
}

/** Weights of which no two rows are alike, with a bias that leaves some rows fewer than k latents above 0. */
function weightsOf(config: SaeConfig) {
  const weights = initSae(config, 3);
  for (const name of ['encoder.bias', 'decoder.bias'])
    weights[name]!.data.forEach((_, i, data) => {
      data[i] = random.normal() - (name === 'encoder.bias' ? 1.5 : 0);
    });
  return weights;
}

test('hold the largest above 0, of equal ones the leftmost, and every other column', () => {
  const x = tf.tensor2d([[1], [-1]]);
  const weight = tf.tensor2d([[2, -3, 2, 0, 2, 7, 0]]);
  const { values, at } = encodeEntries(x, weight, tf.zeros([7]), { k: 2, free: 5 });
  expect(values.arraySync()).toEqual([
    [2, 2, 7, 0],
    [0, 3, -7, 0],
  ]);
  expect(at.arraySync()).toEqual([
    [0, 2, 5, 6],
    [-1, 1, 5, 6],
  ]);
});

/** One block of rows, and three; with slots behind the free latents and without. */
describe.each([
  [7, 0, 4],
  [7, 3, 40],
  [1030, 3, 4],
])('of %i rows with %i slots, k %i', (B, C, k) => {
  const config = configOf(C, k);

  test('they encode and decode as matrices do, and so do their gradients', () => {
    tf.tidy(() => {
      const weights = toTensors(weightsOf(config));
      const names = Object.keys(weights);
      const x = tf.tensor2d(numbers(B, 24).data, [B, 24]);
      const swapped = tf.tensor2d(numbers(B, C).data, [B, C]);
      const scalarOf = (needsPre: boolean) =>
        of((...values) => {
          const given = Object.fromEntries(names.map((name, i) => [name, values[i]!]));
          return seen(encodeBatch(config, given, x, needsPre), swapped);
        });
      const inputs = names.map((name) => weights[name]!);
      const [listed, dense] = [false, true].map((needsPre) => encodeBatch(config, weights, x, needsPre));
      expect([listed!.pre, dense!.pre?.shape]).toEqual([null, [B, 50]]);
      seen(listed!, swapped).forEach((value, i) => {
        expectClose(value, seen(dense!, swapped)[i]!);
      });
      const expected = tf.grads(scalarOf(true))(inputs);
      tf.grads(scalarOf(false))(inputs).forEach((gradient, i) => {
        expectClose(gradient, expected[i]!);
      });
    });
  });

  test.each(['FREE', 'UNIT'] as const)(
    'updates by them are those by gradients, decoder %s',
    async (decoderNorm) => {
      const weights = weightsOf(config);
      const settings = { weights: { ...NONE, recon: 1, indep: 0.1, ortho: 0.1 }, decoderNorm, ...SETTINGS };
      const options = () => ({
        weights,
        optimizer: { beta1: 0.9, beta2: 0.99, epsilon: 1e-8, weightDecay: 0.1, clipNorm: null },
        losses: { pretrain: pretrainLoss(config, settings), posttrain: posttrainLoss(config, settings) },
      });
      const batch = { x: numbers(B, 24) };
      const [compiled, eager] = [new CompiledStepper(options()), new EagerStepper(options())];
      const stages = C === 0 ? ['pretrain'] : ['pretrain', 'posttrain'];
      for (const stage of [...stages, ...stages]) {
        const [a, b] = [compiled, eager].map((stepper) => stepper.step(stage as 'pretrain', batch, 0.01));
        expect(Math.abs(a!.loss! / b!.loss! - 1)).toBeLessThan(1e-5);
      }
      const [a, b] = await Promise.all([compiled.readState(), eager.readState()]);
      for (const part of ['weights', 'm', 'v'] as const)
        for (const name of Object.keys(weights)) {
          const other = b[part][name]!.data;
          const most = Math.max(1e-6, ...Array.from(other, Math.abs));
          const apart = Array.from(a[part][name]!.data, (value, i) => Math.abs(value - other[i]!));
          expect(Math.max(...apart) / most).toBeLessThan(1e-4);
        }
      compiled.dispose();
      eager.dispose();
    },
  );
});

const NONE = Object.fromEntries(
  [
    ...['recon', 'sparse', 'aux', 'value', 'indep', 'ortho', 'bindMse', 'bindCrossEntropy'],
    ...['bindLogitScale', 'counterfactual', 'silence'],
  ].map((name) => [name, 0]),
) as unknown as Parameters<typeof posttrainLoss>[1]['weights'];
const SETTINGS = {
  mode: 'JOINT',
  orthoStopSlots: false,
  freezeFree: false,
  pretrain: { sparse: true },
} as const;

test('entries outside the matrix are refused', () => {
  const [weight, bias] = [tf.ones([3, 2]) as tf.Tensor2D, tf.zeros([2]) as tf.Tensor1D];
  const entries = (column: number) => ({
    values: tf.tensor2d([[1]]),
    at: tf.tensor2d([[column]], [1, 1], 'int32'),
  });
  expect(decodeEntries(entries(2), weight, bias).arraySync()).toEqual([[1, 1]]);
  expect(decodeEntries(entries(-1), weight, bias).arraySync()).toEqual([[0, 0]]);
  for (const column of [3, -2]) {
    expect(() => decodeEntries(entries(column), weight, bias)).toThrow(/lists of values and of columns/);
    expect(() => spreadEntries(entries(column), 3)).toThrow(/lists of values and of columns/);
  }
});

test('shapes that do not fit are refused', () => {
  const [x, weight] = [tf.ones([2, 3]) as tf.Tensor2D, tf.ones([3, 5]) as tf.Tensor2D];
  const encode = (bias: number, k: number, free: number) =>
    encodeEntries(x, weight, tf.zeros([bias]) as tf.Tensor1D, { k, free });
  expect(encode(5, 1, 5).values.shape).toEqual([2, 1]);
  for (const [bias, k, free] of [
    [4, 1, 5],
    [5, 0, 5],
    [5, 1, 6],
  ] as const)
    expect(() => encode(bias, k, free)).toThrow(/x \[rows, K\], weight \[K, N\] and bias \[N\]/);
  const { values, at } = encode(5, 1, 5);
  for (const op of ['AlignsaeEntriesRows', 'AlignsaeEntriesColumns'])
    expect(() => rawOp(op, [attribute.int('size', 5)], [values, at, tf.ones([3, 4])])).toThrow(
      /lists of values and of columns/,
    );
});

/** All that an encoding offers. */
function seen({ slots, free, decode }: TrainingEncoding, swapped: tf.Tensor2D): tf.Tensor[] {
  return [slots, free(), decode(slots), decode(swapped)].filter(({ size }) => size > 0);
}

/** A scalar with another slope everywhere. */
function of(run: (...xs: tf.Tensor[]) => tf.Tensor[]) {
  return (...xs: tf.Tensor[]) =>
    tf.addN(
      run(...xs).map((y) => {
        const slopes = tf.sin(tf.range(1, y.size + 1, 1, 'float32'));
        return tf.sum(tf.mul(y, tf.reshape(slopes, y.shape)));
      }),
    ) as tf.Scalar;
}

function expectClose(got: tf.Tensor, expected: tf.Tensor): void {
  expect(got.shape).toEqual(expected.shape);
  const size = Math.max(1, tf.max(tf.abs(expected)).dataSync()[0]!);
  expect(tf.max(tf.abs(tf.sub(got, expected))).dataSync()[0]! / size).toBeLessThan(1e-4);
}
