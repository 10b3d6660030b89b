import * as tf from '@tensorflow/tfjs-core';
import { beforeAll, describe, expect, test } from 'vitest';
import { decode, encode, encodeSlots, initSae } from '../../../src/engine/sae/autoencoder.ts';
import { encodeBatch } from '../../../src/engine/sae/encoding.ts';
import { toTensors } from '../../../src/engine/step/arrays.ts';
import type { Tensors } from '../../../src/engine/step/stepper.ts';
import { createRandom } from '../../../src/random.ts';
import { loadTestBackend } from '../../helpers/engine.ts';

const B = 7;
const SIZES = { dModel: 5, nFree: 12, nConcepts: 3, k: 4, valueHeads: null };
const random = createRandom(4);
const normal = (...shape: number[]) =>
  tf.tensor(
    Float32Array.from({ length: shape.reduce((a, b) => a * b) }, () => random.normal()),
    shape,
  );

describe.each(['auto', 'wasm'] as const)('what training sees of a batch on the %s backend', (choice) => {
  beforeAll(() => loadTestBackend(choice));

  describe.each(['LINEAR', 'RELU', 'TOPK'] as const)('%s', (activation) => {
    const config = { ...SIZES, activation };
    const given = () => ({
      weights: toTensors(initSae(config, 1)),
      x: normal(B, config.dModel) as tf.Tensor2D,
      others: normal(B, config.nConcepts) as tf.Tensor2D,
    });

    test('a batch is encoded and decoded as one prompt is', () => {
      const { weights, x } = given();
      const [batch, latents] = [encodeBatch(config, weights, x, false), encode(config, weights, x)];
      expectClose(batch.slots, latents.slots);
      expectClose(batch.free(), latents.free);
      expectClose(batch.all(), tf.concat([latents.free, latents.slots], 1));
      expectClose(batch.reconstruction(), decode(weights, latents));
      expectClose(encodeSlots(config, weights, x), latents.slots);
    });

    test('other slots decode as if all were decoded again, and so do gradients', () => {
      const { weights, x, others } = given();
      const slope = normal(B, config.dModel);
      const lossOf = (decoded: (weights: Tensors) => tf.Tensor) => (encoder: tf.Tensor, decoder: tf.Tensor) =>
        tf.sum(tf.mul(slope, decoded({ ...weights, 'encoder.weight': encoder, 'decoder.weight': decoder })));
      const own = lossOf((weights) => encodeBatch(config, weights, x, false).decode(others));
      const plain = lossOf((weights) =>
        decode(weights, { free: encode(config, weights, x).free, slots: others }),
      );
      const at = [weights['encoder.weight']!, weights['decoder.weight']!];
      expectClose(own(at[0]!, at[1]!), plain(at[0]!, at[1]!));
      const expected = tf.grads(plain)(at);
      tf.grads(own)(at).forEach((gradient, i) => {
        expectClose(gradient, expected[i]!);
      });
    });
  });
});

function expectClose(got: tf.Tensor, expected: tf.Tensor): void {
  expect(got.shape).toEqual(expected.shape);
  expect(tf.max(tf.abs(tf.sub(got, expected))).dataSync()[0]).toBeLessThan(1e-5);
}
