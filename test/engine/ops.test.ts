import * as tf from '@tensorflow/tfjs-core';
import { beforeAll, describe, expect, test } from 'vitest';
import { gatherRows, softmaxCrossEntropy } from '../../src/engine/ops.ts';
import { createRandom } from '../../src/random.ts';
import { loadTestBackend } from '../helpers/engine.ts';

const random = createRandom(7);
const normal = (size: number) => Float32Array.from({ length: size }, () => random.normal());

describe.each(['auto', 'wasm'] as const)('on the %s backend', (choice) => {
  beforeAll(() => loadTestBackend(choice));

  test('gatherRows takes rows by id, and adds gradients up where an id is repeated', () => {
    const table = normal(4 * 3);
    const weight = normal(5 * 3);
    const loss = (values: Float32Array) =>
      tf.tidy(() => {
        const rows = gatherRows(tf.tensor2d(values, [4, 3]), tf.tensor1d([2, 0, 2, 3, 2], 'int32'));
        return tf.sum(tf.mul(tf.square(rows), tf.tensor2d(weight, [5, 3])));
      });
    const gradient = tf.tidy(() => {
      const ids = tf.tensor1d([2, 0, 2, 3, 2], 'int32');
      const f = (t: tf.Tensor) =>
        tf.sum(
          tf.mul(tf.square(gatherRows(t as tf.Tensor2D, ids)), tf.tensor2d(weight, [5, 3])),
        ) as tf.Scalar;
      return tf
        .grad(f)(tf.tensor2d(table, [4, 3]))
        .dataSync();
    });
    expectClose(gradient, finiteDifferences(loss, table));
    expect([...gradient.subarray(3, 6)]).toEqual([0, 0, 0]); // row 1 was not taken
  });

  test('gatherRows refuses an id that is no row', () => {
    const table = tf.zeros([4, 3]) as tf.Tensor2D;
    for (const id of [4, -1]) {
      expect(() => gatherRows(table, tf.tensor1d([0, id], 'int32')).dataSync()).toThrow();
    }
  });

  test.each([
    [5, 4, 1],
    [3, 37, 1],
    [40, 365, 1],
    [4, 9, 60], // beyond what an exponential holds
  ])(
    'softmaxCrossEntropy of %i rows of %i classes, × %d, is that of plain ops, with their gradient',
    (rows, classes, scale) => {
      const values = normal(rows * classes).map((value) => value * scale);
      const labels = Array.from({ length: rows }, () => random.int(classes));
      const weight = normal(rows);
      const weighted = (losses: tf.Tensor) => tf.sum(tf.mul(losses, tf.tensor1d(weight))) as tf.Scalar;
      const ours = (x: tf.Tensor) =>
        weighted(softmaxCrossEntropy(x as tf.Tensor2D, tf.tensor1d(labels, 'int32')));
      const plain = (x: tf.Tensor) => {
        const target = tf.cast(tf.oneHot(tf.tensor1d(labels, 'int32'), classes), 'float32');
        return weighted(tf.neg(tf.sum(tf.mul(tf.logSoftmax(x), target), 1)));
      };
      const evaluate = (f: (x: tf.Tensor) => tf.Scalar) =>
        tf.tidy(() => {
          const x = tf.tensor2d(values, [rows, classes]);
          return { value: f(x).dataSync(), gradient: tf.grad(f)(x).dataSync() };
        });
      const [got, expected] = [evaluate(ours), evaluate(plain)];
      expectClose(got.value, expected.value, 1e-5);
      expectClose(got.gradient, expected.gradient, 1e-5);
      if (rows > 5 || scale > 1) return; // too many, or too steep for a difference
      const loss = (v: Float32Array) => tf.tidy(() => ours(tf.tensor2d(v, [rows, classes])));
      expectClose(got.gradient, finiteDifferences(loss, values));
    },
  );

  test.each([Number.NaN, Number.POSITIVE_INFINITY])(
    'a logit of %d spoils the loss of its row alone',
    (spoilt) => {
      const values = normal(2 * 20);
      values[13] = spoilt;
      const labels = tf.tensor1d([2, 2], 'int32');
      const losses = softmaxCrossEntropy(tf.tensor2d(values, [2, 20]), labels).dataSync();
      expect([...losses].map(Number.isFinite)).toEqual([false, true]);
    },
  );

  test.each([
    ['matrices', [3, 4], [5, 4]],
    ['batches', [2, 3, 3, 4], [2, 3, 5, 4]],
  ])('a product of %s with a transposed one, and its gradients for both sides', (_, aShape, bShape) => {
    const [aSize, bSize] = [size(aShape), size(bShape)];
    const values = normal(aSize + bSize);
    const f = (a: tf.Tensor, b: tf.Tensor) => tf.sum(tf.square(tf.matMul(a, b, false, true))) as tf.Scalar;
    const operands = (v: Float32Array): [tf.Tensor, tf.Tensor] => [
      tf.tensor(v.slice(0, aSize), aShape),
      tf.tensor(v.slice(aSize), bShape),
    ];
    const gradient = tf.tidy(() =>
      tf
        .grads(f)(operands(values))
        .flatMap((g) => [...g.dataSync()]),
    );
    expectClose(
      gradient,
      finiteDifferences((v) => f(...operands(v)), values),
    );
  });

  test.each([
    [false, false],
    [false, true],
    [true, false],
    [true, true],
  ])('products with transposeA %s, transposeB %s are what the definition says', (transposeA, transposeB) => {
    const a = tf.tensor3d(normal(2 * 3 * 4), transposeA ? [2, 4, 3] : [2, 3, 4]);
    const b = tf.tensor3d(normal(4 * 5), transposeB ? [1, 5, 4] : [1, 4, 5]); // broadcast over the batch
    const product = tf.matMul(a, b, transposeA, transposeB);
    expect(product.shape).toEqual([2, 3, 5]);
    expectClose(product.dataSync(), plainProduct(a, b, transposeA, transposeB));
  });

  test('gather of other shapes and segment sums agree with their definitions', () => {
    const x = tf.tensor2d([1, 2, 3, 4, 5, 6], [2, 3]);
    expect(tf.gather(x, tf.tensor2d([1, 0, 1, 1], [2, 2], 'int32')).arraySync()).toEqual([
      [
        [4, 5, 6],
        [1, 2, 3],
      ],
      [
        [4, 5, 6],
        [4, 5, 6],
      ],
    ]);
    expect(tf.gather(x, tf.tensor1d([2, 0], 'int32'), 1).arraySync()).toEqual([
      [3, 1],
      [6, 4],
    ]);
    expect(tf.unsortedSegmentSum(x, tf.tensor1d([2, 2], 'int32'), 4).arraySync()).toEqual([
      [0, 0, 0],
      [0, 0, 0],
      [5, 7, 9],
      [0, 0, 0],
    ]);
  });

  test('leaves no tensor behind', () => {
    const step = () =>
      tf.tidy(() => {
        const table = tf.tensor2d(normal(12), [4, 3]);
        const f = (t: tf.Tensor) => {
          const rows = gatherRows(t as tf.Tensor2D, tf.tensor1d([1, 3], 'int32'));
          return tf.sum(tf.matMul(rows, rows, false, true)) as tf.Scalar;
        };
        tf.grad(f)(table).dataSync();
      });
    step();
    const before = [tf.memory().numTensors, tf.engine().backend.numDataIds()];
    step();
    expect([tf.memory().numTensors, tf.engine().backend.numDataIds()]).toEqual(before);
  });
});

function size(shape: readonly number[]): number {
  return shape.reduce((product, n) => product * n, 1);
}

/** Central differences of a scalar function, in single precision. */
function finiteDifferences(f: (values: Float32Array) => tf.Tensor, at: Float32Array): number[] {
  const h = 1e-2;
  return [...at].map((value, i) => {
    const along = (offset: number) =>
      tf.tidy(() => f(at.with(i, value + offset) as Float32Array).dataSync()[0]!);
    return (along(h) - along(-h)) / (2 * h);
  });
}

function plainProduct(a: tf.Tensor3D, b: tf.Tensor3D, transposeA: boolean, transposeB: boolean): number[] {
  const [x, y] = [a.arraySync(), b.arraySync()[0]!];
  const left = (i: number, m: number, k: number) => (transposeA ? x[i]![k]![m]! : x[i]![m]![k]!);
  const right = (k: number, n: number) => (transposeB ? y[n]![k]! : y[k]![n]!);
  const sums: number[] = [];
  for (let i = 0; i < 2; i++)
    for (let m = 0; m < 3; m++)
      for (let n = 0; n < 5; n++)
        sums.push([0, 1, 2, 3].reduce((s, k) => s + left(i, m, k) * right(k, n), 0));
  return sums;
}

function expectClose(actual: ArrayLike<number>, expected: ArrayLike<number>, tolerance = 2e-3): void {
  expect(actual.length).toBe(expected.length);
  const scale = Math.max(...Array.from(expected, Math.abs));
  for (let i = 0; i < expected.length; i++) {
    expect(Math.abs(actual[i]! - expected[i]!), `element ${i}`).toBeLessThan(tolerance * scale);
  }
}
