import * as tf from '@tensorflow/tfjs-core';
import { beforeAll, describe, expect, test } from 'vitest';
import { linear } from '../../../src/engine/linear.ts';
import { gated, gelu, layerNorm, rmsNorm, timesTransposed } from '../../../src/engine/model/layers.ts';
import { rotate, turnsAt } from '../../../src/engine/model/rotary.ts';
import { createRandom } from '../../../src/random.ts';
import { loadTestBackend } from '../../helpers/engine.ts';

type Op = (...inputs: tf.Tensor[]) => tf.Tensor;

/** The same functions out of plain operations, whose gradients the library derives. */
const plain: Record<string, Op> = {
  layerNorm: (x, gain, bias) => {
    const { mean, variance } = tf.moments(x!, -1, true);
    return tf.add(tf.mul(tf.div(tf.sub(x!, mean), tf.sqrt(tf.add(variance, 1e-5))), gain!), bias!);
  },
  gelu: (x) => {
    const inner = tf.mul(Math.sqrt(2 / Math.PI), tf.add(x!, tf.mul(0.044715, tf.pow(x!, 3))));
    return tf.mul(tf.mul(0.5, x!), tf.add(1, tf.tanh(inner)));
  },
  rmsNorm: (x, gain) => tf.mul(tf.div(x!, tf.sqrt(tf.add(tf.mean(tf.square(x!), -1, true), 1e-5))), gain!),
  gatedSilu: (gate, up) => tf.mul(tf.mul(gate!, tf.sigmoid(gate!)), up!),
  gatedGelu: (gate, up) => tf.mul(plain.gelu!(gate!), up!),
  // Each pair as a complex number, times that of its angle; two heads of four turn, in each of which the last two stay.
  rotate: (x) => {
    const heads = tf.unstack(tf.reshape(x!, [x!.shape[0]!, 4, 6]), 1);
    const turned = heads.map((head, i) => {
      if (i > 1) return head;
      const [a, b, rest] = tf.split(head, [2, 2, 2], 1);
      const places = tf.reshape(tf.tile(tf.range(0, 5, 1, 'float32'), [x!.shape[0]! / 5]), [-1, 1]);
      const angle = tf.mul(places, [[1, 100 ** -0.5]]);
      const [c, s] = [tf.cos(angle), tf.sin(angle)];
      return tf.concat(
        [tf.sub(tf.mul(a!, c), tf.mul(b!, s)), tf.add(tf.mul(b!, c), tf.mul(a!, s)), rest!],
        1,
      );
    });
    return tf.concat(turned, 1);
  },
};
const own: Record<string, Op> = {
  layerNorm: (x, gain, bias) => layerNorm(x!, gain!, bias!, 1e-5),
  gelu: (x) => gelu(x!),
  rmsNorm: (x, gain) => rmsNorm(x!, gain!, 1e-5),
  gatedSilu: (gate, up) => gated('SILU', gate!, up!),
  gatedGelu: (gate, up) => gated('GELU_TANH', gate!, up!),
  rotate: (x) => {
    const turns = turnsAt({ dims: 4, base: 100, scaling: null }, [0, 1, 2, 3, 4]);
    return rotate(x as tf.Tensor2D, turns, { heads: 2, dHead: 6 });
  },
};

const CASES: [string, number[][]][] = [
  ['layerNorm', [[3, 4, 6], [6], [6]]],
  ['layerNorm', [[70, 33], [33], [33]]], // more rows than are summed together, a rest behind whole vectors
  ['layerNorm', [[1, 1, 64], [64], [64]]],
  ['gelu', [[2, 5]]],
  ['gelu', [[3, 2, 17]]],
  ['rmsNorm', [[3, 4, 6], [6]]],
  ['rmsNorm', [[70, 33], [33]]],
  ['rmsNorm', [[1, 64], [64]]],
  [
    'gatedSilu',
    [
      [5, 17],
      [5, 17],
    ],
  ],
  [
    'gatedGelu',
    [
      [5, 17],
      [5, 17],
    ],
  ],
  ['rotate', [[10, 24]]],
];

describe.each(
  (['auto', 'wasm'] as const).flatMap((backend) =>
    CASES.map(([name, shapes]) => ({ backend, name, shapes, x: shapes[0]! })),
  ),
)('$name of $x on the $backend backend', ({ backend, name, shapes }) => {
  beforeAll(() => loadTestBackend(backend));

  const inputs = () =>
    shapes.map((shape, i) => {
      const random = createRandom(i, name);
      const size = shape.reduce((a, b) => a * b, 1);
      return tf.tensor(
        Float32Array.from({ length: size }, () => 1.5 * random.normal()),
        shape,
      );
    });
  /** Any scalar of the output with a different slope everywhere. */
  const scalarOf =
    (op: Op) =>
    (...xs: tf.Tensor[]) => {
      const y = op(...xs);
      const weights = tf.reshape(tf.sin(tf.range(0, y.size, 1, 'float32')), y.shape);
      return tf.sum(tf.mul(y, weights));
    };

  test('equals its definition', () => {
    tf.tidy(() => expectClose(own[name]!(...inputs()), plain[name]!(...inputs()), 1e-5));
  });

  test('has the gradients that plain autograd derives', () => {
    tf.tidy(() => {
      const gradients = tf.grads(scalarOf(own[name]!))(inputs());
      const derived = tf.grads(scalarOf(plain[name]!))(inputs());
      for (const [i, gradient] of gradients.entries()) expectClose(gradient, derived[i]!, 1e-4);
    });
  });

  test('has the gradients of finite differences', () => {
    tf.tidy(() => {
      const gradients = tf.grads(scalarOf(own[name]!))(inputs());
      for (const [i, gradient] of gradients.entries()) {
        const values = gradient.dataSync();
        for (const entry of [0, Math.floor(values.length / 2), values.length - 1]) {
          const moved = (by: number) => {
            const xs = inputs();
            const data = xs[i]!.dataSync().slice();
            data[entry]! += by;
            xs[i] = tf.tensor(data, shapes[i]!);
            return scalarOf(own[name]!)(...xs).dataSync()[0]!;
          };
          expect((moved(0.01) - moved(-0.01)) / 0.02).toBeCloseTo(values[entry]!, 2);
        }
      }
    });
  });
});

describe.each([1, 3, 4, 5, 17])('products of %i rows', (rows) => {
  beforeAll(() => loadTestBackend());

  test.each([
    [7, 5],
    [64, 48],
    [531, 100],
  ])('%i long with a matrix %i wide, either way round, equal plain ones', (K, N) => {
    tf.tidy(() => {
      const x = tf.randomNormal([rows, K], 0, 1, 'float32', 1) as tf.Tensor2D;
      const weight = tf.randomNormal([K, N], 0, 1, 'float32', 2) as tf.Tensor2D;
      const bias = tf.randomNormal([N], 0, 1, 'float32', 3);
      const product = tf.matMul(x, weight);
      expectClose(linear(x, weight, bias), tf.add(product, bias), 2e-4);
      expectClose(linear(x, weight, null), product, 2e-4);
      expectClose(timesTransposed(x, tf.transpose(weight) as tf.Tensor2D), product, 2e-4);
    });
  });

  test('with a transposed table has the gradients that plain autograd derives', () => {
    tf.tidy(() => {
      const inputs = [
        tf.randomNormal([rows, 24], 0, 1, 'float32', 1),
        tf.randomNormal([9, 24], 0, 1, 'float32', 2),
      ];
      const scalar =
        (f: (x: tf.Tensor2D, table: tf.Tensor2D) => tf.Tensor) => (x: tf.Tensor, table: tf.Tensor) =>
          tf.sum(tf.square(f(x as tf.Tensor2D, table as tf.Tensor2D)));
      const own = tf.grads(scalar(timesTransposed))(inputs);
      const derived = tf.grads(scalar((x, table) => tf.matMul(x, table, false, true)))(inputs);
      for (const [i, gradient] of own.entries()) expectClose(gradient, derived[i]!, 1e-3);
    });
  });
});

function expectClose(actual: tf.Tensor, expected: tf.Tensor, tolerance: number): void {
  expect(actual.shape).toEqual(expected.shape);
  expect(tf.max(tf.abs(tf.sub(actual, expected))).dataSync()[0]!).toBeLessThan(tolerance);
}
