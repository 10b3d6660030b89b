import * as tf from '@tensorflow/tfjs-core';
import { beforeAll, describe, expect, test } from 'vitest';
import {
  attend,
  cachedSight,
  causalSight,
  type Heads,
  packedSight,
} from '../../../src/engine/model/attention.ts';
import { hasKernels } from '../../../src/engine/native/rawOps.ts';
import { createRandom } from '../../../src/random.ts';
import { loadTestBackend } from '../../helpers/engine.ts';

const random = createRandom(3, 'attention');
const normal = (...shape: number[]) =>
  tf.tensor(
    Float32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, () => random.normal()),
    shape,
  );

interface Shape {
  H: number;
  /** Key–value heads. */
  G: number;
  D: number;
  window: number | null;
}

/** Attention by its definition, in matrices of one head of one sequence; `qkv [B·T, (H + 2G)·D]`. */
function defined(qkv: tf.Tensor, B: number, T: number, { H, G, D, window }: Shape): tf.Tensor {
  const mask = tf.linalg.bandPart(tf.ones([T, T]), window === null ? -1 : Math.min(window, T) - 1, 0);
  const split = tf.reshape(qkv, [B, T, (H + 2 * G) * D]);
  const sequences = Array.from({ length: B }, (_, b) => {
    const part = (head: number) =>
      tf.reshape(tf.slice(split, [b, 0, head * D], [1, T, D]), [T, D]) as tf.Tensor2D;
    const heads = Array.from({ length: H }, (_, head) => {
      const group = Math.floor((head * G) / H);
      const scores = tf.div(tf.matMul(part(head), part(H + group), false, true), Math.sqrt(D));
      const weights = tf.mul(tf.exp(scores), mask);
      return tf.matMul(tf.div(weights, tf.sum(weights, 1, true)) as tf.Tensor2D, part(H + G + group));
    });
    return tf.concat(heads, 1);
  });
  return tf.concat(sequences, 0);
}

const headsOf = ({ H, G, D, window }: Shape): Heads => ({
  ...{ nHeads: H, nKeyValueHeads: G, cap: null, window },
  scale: 1 / Math.sqrt(D),
});

describe.each(['auto', 'wasm'] as const)('on the %s backend', (backend) => {
  beforeAll(() => loadTestBackend(backend));

  test.each([
    { B: 1, T: 1, H: 2, G: 2, D: 16, window: null },
    { B: 2, T: 17, H: 3, G: 3, D: 24, window: null },
    { B: 2, T: 48, H: 1, G: 1, D: 16, window: null },
    { B: 1, T: 33, H: 2, G: 2, D: 64, window: null },
    { B: 3, T: 5, H: 2, G: 2, D: 4, window: null },
    { B: 2, T: 17, H: 6, G: 2, D: 24, window: null },
    { B: 1, T: 33, H: 4, G: 1, D: 8, window: null },
    { B: 2, T: 50, H: 4, G: 2, D: 16, window: 3 },
    { B: 1, T: 70, H: 2, G: 2, D: 16, window: 40 },
    { B: 1, T: 20, H: 2, G: 1, D: 16, window: 1 },
  ])(
    'attends as defined, with its gradient: $B × $T tokens, $H heads of $D, $G of keys, window $window',
    ({ B, T, ...shape }) => {
      const { H, G, D } = shape;
      tf.tidy(() => {
        const qkv = normal(B * T, (H + 2 * G) * D) as tf.Tensor2D;
        const above = normal(B * T, H * D);
        const own = (x: tf.Tensor) => attend(x as tf.Tensor2D, headsOf(shape), causalSight(B, T)).mixed;
        const plain = (x: tf.Tensor) => defined(x, B, T, shape);
        expectClose(own(qkv), plain(qkv));
        const gradient = (f: (x: tf.Tensor) => tf.Tensor) => tf.grad((x) => tf.sum(tf.mul(f(x), above)))(qkv);
        expectClose(gradient(own), gradient(plain));
      });
    },
  );

  test.each([
    { H: 2, G: 2, D: 24, window: null },
    { H: 6, G: 2, D: 8, window: null },
    { H: 2, G: 1, D: 16, window: 4 },
  ])(
    'sequences without padding see themselves alone, with their gradient: $H heads, $G of keys, window $window',
    (shape) => {
      const { H, G, D } = shape;
      const [lengths, rest] = [[5, 33, 0, 1, 18], 7];
      const row = (H + 2 * G) * D;
      tf.tidy(() => {
        const real = [0, 1, 3, 4]; // one has no tokens
        const whole = lengths.map((length) => normal(length, row));
        const above = lengths.map((length) => normal(length, H * D));
        const places = lengths.flatMap((length) => [...Array(length).keys()]);
        const ends = lengths.map((_, b) => lengths.slice(0, b + 1).reduce((a, c) => a + c));
        const int = (values: number[]) => tf.tensor1d(values, 'int32');
        const sight = packedSight(int([...places, ...Array(rest).fill(0)]), int(ends), 33);
        const pack = (x: tf.Tensor) =>
          attend(x as tf.Tensor2D, headsOf(shape), sight, undefined, false).mixed;
        const rows = tf.concat([...whole, normal(rest, row)]);
        const count = places.length;
        expectClose(
          tf.slice(pack(rows), 0, count),
          tf.concat(real.map((b) => defined(whole[b]!, 1, lengths[b]!, shape))),
        );
        const gradientOf = (f: (x: tf.Tensor) => tf.Tensor, x: tf.Tensor, above: tf.Tensor) =>
          tf.grad((x) => tf.sum(tf.mul(tf.slice(f(x), 0, above.shape[0]!), above)))(x);
        const gradient = gradientOf(pack, rows, tf.concat(above));
        const each = real.map((b) =>
          gradientOf((x) => defined(x, 1, lengths[b]!, shape), whole[b]!, above[b]!),
        );
        expectClose(gradient, tf.concat([...each, tf.zeros([rest, row])]));
      });
    },
  );

  test.each([[[3, 2]], [[3, 9]], [[-1, 3]]])('kernels refuse sequences that end at %j of 8 rows', (ends) => {
    if (!hasKernels()) return;
    tf.tidy(() => {
      const [zeros, at] = [tf.zeros<tf.Rank.R1>([8], 'int32'), tf.tensor1d(ends, 'int32')];
      const heads = headsOf({ H: 1, G: 1, D: 4, window: null });
      const run = () => attend(tf.zeros([8, 12]), heads, packedSight(zeros, at, 8), undefined, false);
      expect(run).toThrow(/ends rise up to rows/);
    });
  });

  test.each([
    { H: 2, G: 2, D: 24, window: null },
    { H: 6, G: 2, D: 24, window: null },
    { H: 2, G: 1, D: 24, window: 4 },
  ])(
    'tokens that follow a padded prompt see what they would see in one pass: $H heads, $G of keys, window $window',
    (shape) => {
      const { H, G, D } = shape;
      const [width, more] = [18, 3];
      const lengths = [18, 5, 1];
      const row = (H + 2 * G) * D;
      tf.tidy(() => {
        const whole = lengths.map((length) => normal(length + more, row) as tf.Tensor2D);
        const padded = whole.map((qkv, i) =>
          tf.concat([tf.slice(qkv, 0, lengths[i]!), normal(width - lengths[i]! + 1, row)]).slice(0, width),
        );
        let { present } = attend(
          tf.concat(padded) as tf.Tensor2D,
          headsOf(shape),
          causalSight(lengths.length, width),
        );
        for (let made = 0; made < more; made++) {
          const next = tf.concat(whole.map((qkv, i) => tf.slice(qkv, lengths[i]! + made, 1))) as tf.Tensor2D;
          const step = attend(next, headsOf(shape), cachedSight(lengths, width, made, 99), present);
          present = step.present;
          const expected = whole.map((qkv, i) =>
            tf.slice(defined(qkv, 1, lengths[i]! + more, shape), lengths[i]! + made, 1),
          );
          expectClose(step.mixed, tf.concat(expected));
        }
      });
    },
  );
});

function expectClose(actual: tf.Tensor, expected: tf.Tensor): void {
  expect(actual.shape).toEqual(expected.shape);
  expect(tf.max(tf.abs(tf.sub(actual, expected))).dataSync()[0]!).toBeLessThan(1e-5);
}
