import * as tf from '@tensorflow/tfjs-core';
import { beforeAll, describe, expect, test } from 'vitest';
import { attend, cachedSight, causalSight, type Heads } from '../../../src/engine/model/attention.ts';
import { createRandom } from '../../../src/random.ts';
import { loadTestBackend } from '../../helpers/engine.ts';

const random = createRandom(3, 'attention');
const normal = (...shape: number[]) =>
  tf.tensor(
    Float32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, () => random.normal()),
    shape,
  );

/** Attention by its definition, in matrices of one head of one sequence; `qkv [B·T, 3·H·D]`. */
function defined(qkv: tf.Tensor, B: number, T: number, H: number, D: number): tf.Tensor {
  const mask = tf.linalg.bandPart(tf.ones([T, T]), -1, 0);
  const split = tf.reshape(qkv, [B, T, 3, H * D]);
  const sequences = Array.from({ length: B }, (_, b) => {
    const part = (which: number, head: number) =>
      tf.reshape(tf.slice(split, [b, 0, which, head * D], [1, T, 1, D]), [T, D]) as tf.Tensor2D;
    const heads = Array.from({ length: H }, (_, head) => {
      const scores = tf.div(tf.matMul(part(0, head), part(1, head), false, true), Math.sqrt(D));
      const weights = tf.mul(tf.exp(scores), mask);
      return tf.matMul(tf.div(weights, tf.sum(weights, 1, true)) as tf.Tensor2D, part(2, head));
    });
    return tf.concat(heads, 1);
  });
  return tf.concat(sequences, 0);
}

const plainHeads = (nHeads: number, D: number): Heads => ({
  ...{ nHeads, nKeyValueHeads: nHeads, cap: null, window: null },
  scale: 1 / Math.sqrt(D),
});

describe.each(['auto', 'wasm'] as const)('on the %s backend', (backend) => {
  beforeAll(() => loadTestBackend(backend));

  test.each([
    [1, 1, 2, 16],
    [2, 17, 3, 24],
    [2, 48, 1, 16],
    [1, 33, 2, 64],
    [3, 5, 2, 4],
  ])('attends as defined, with its gradient: %i × %i tokens, %i heads of %i', (B, T, H, D) => {
    tf.tidy(() => {
      const qkv = normal(B * T, 3 * H * D) as tf.Tensor2D;
      const above = normal(B * T, H * D);
      const own = (x: tf.Tensor) => attend(x as tf.Tensor2D, plainHeads(H, D), causalSight(B, T)).mixed;
      const plain = (x: tf.Tensor) => defined(x, B, T, H, D);
      expectClose(own(qkv), plain(qkv));
      const gradient = (f: (x: tf.Tensor) => tf.Tensor) => tf.grad((x) => tf.sum(tf.mul(f(x), above)))(qkv);
      expectClose(gradient(own), gradient(plain));
    });
  });

  test('tokens that follow a padded prompt see what they would see in one pass', () => {
    const [H, D, width, more] = [2, 24, 18, 3];
    const lengths = [18, 5, 1];
    tf.tidy(() => {
      const whole = lengths.map((length) => normal(length + more, 3 * H * D) as tf.Tensor2D);
      const padded = whole.map((qkv, i) =>
        tf
          .concat([tf.slice(qkv, 0, lengths[i]!), normal(width - lengths[i]! + 1, 3 * H * D)])
          .slice(0, width),
      );
      let { present } = attend(
        tf.concat(padded) as tf.Tensor2D,
        plainHeads(H, D),
        causalSight(lengths.length, width),
      );
      for (let made = 0; made < more; made++) {
        const next = tf.concat(whole.map((qkv, i) => tf.slice(qkv, lengths[i]! + made, 1))) as tf.Tensor2D;
        const step = attend(next, plainHeads(H, D), cachedSight(lengths, width, made, 99), present);
        present = step.present;
        const expected = whole.map((qkv, i) =>
          tf.slice(defined(qkv, 1, lengths[i]! + more, H, D), lengths[i]! + made, 1),
        );
        expectClose(step.mixed, tf.concat(expected));
      }
    });
  });
});

function expectClose(actual: tf.Tensor, expected: tf.Tensor): void {
  expect(actual.shape).toEqual(expected.shape);
  expect(tf.max(tf.abs(tf.sub(actual, expected))).dataSync()[0]!).toBeLessThan(1e-5);
}
