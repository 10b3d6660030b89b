/** The implementations of products, of which the kernels use those that were measured to be the fastest. */
import * as tf from '@tensorflow/tfjs-core';
import { beforeAll, describe, expect, inject, test } from 'vitest';
import { attribute, rawOp, rawOps } from '../../src/engine/native/rawOps.ts';
import { createRandom } from '../../src/random.ts';
import { loadTestBackend } from '../helpers/engine.ts';

const native = inject('native');
const { trials } = native.available && native.products[0] ? native.products[0] : { trials: [] };
const random = createRandom(7);

/** Edges that fill no tile of any implementation, a depth of 1 and one of two blocks, few rows and many. */
const SHAPES = [
  [1, 1, 1],
  [16, 50, 1],
  [45, 203, 37],
  [150, 67, 1030],
] as const;
const TURNED = ['nothing', 'left', 'right', 'right result', 'left right result'] as const;

beforeAll(() => loadTestBackend('native'));

test('there are several', () => expect(trials.length).toBeGreaterThan(2));

describe.each(SHAPES)('every implementation of a product of %i × %i over %i', (M, N, K) => {
  test.each(TURNED)('is right and equals the others bit by bit, turned: %s', (turned) => {
    const [left, right, result] = ['left', 'right', 'result'].map((name) => Number(turned.includes(name)));
    const flags = { left: left!, right: right!, result: result! };
    const [x, y] = [normal(left ? [K, M] : [M, K]), normal(right ? [N, K] : [K, N])];
    const product = tf.matMul(x as tf.Tensor2D, y as tf.Tensor2D, left === 1, right === 1);
    for (const bias of [tf.zeros([0]), normal([N])]) {
      const expected = bias.size > 0 ? tf.add(product, bias) : product;
      const first = productBy(0, flags, [x, y, bias]);
      const difference = tf.sub(result ? tf.transpose(first) : first, expected);
      expect(tf.max(tf.abs(difference)).dataSync()[0]!).toBeLessThan(1e-5 * Math.sqrt(K));
      for (let i = 1; i < trials.length; i++)
        expect(productBy(i, flags, [x, y, bias]).dataSync()).toEqual(first.dataSync());
    }
  });
});

test('one that there is not cannot be chosen', () => {
  const attributes = [attribute.int('shape', 0), attribute.int('implementation', trials.length)];
  expect(() => rawOps('AlignsaeChooseProduct', attributes, [], 0)).toThrow(/no such implementation/);
});

function normal(shape: number[]): tf.Tensor {
  const count = shape.reduce((a, b) => a * b, 1);
  return tf.tensor(
    Float32Array.from({ length: count }, () => random.normal()),
    shape,
  );
}

/** The product by one implementation, of operands that are given turned or not. */
function productBy(implementation: number, turned: Record<string, number>, inputs: tf.Tensor[]): tf.Tensor {
  const attributes = Object.entries({ implementation, ...turned }).map(([name, n]) => attribute.int(name, n));
  return rawOp('AlignsaeProductBy', attributes, inputs);
}
