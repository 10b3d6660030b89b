/** The addon's kernels against the same functions made of plain operations, whose gradients the library derives. */
import * as tf from '@tensorflow/tfjs-core';
import { beforeAll, describe, expect, test } from 'vitest';
import { linear } from '../../src/engine/linear.ts';
import { hasKernels } from '../../src/engine/native/rawOps.ts';
import { softmaxCrossEntropy } from '../../src/engine/ops.ts';
import { indep, ortho, penalties, sparse } from '../../src/engine/sae/losses.ts';
import { relu, topK, topKRelu } from '../../src/engine/sae/ops.ts';
import { CompiledStepper } from '../../src/engine/step/compiled.ts';
import { EagerStepper } from '../../src/engine/step/eager.ts';
import type { StepperOptions } from '../../src/engine/step/stepper.ts';
import { createRandom } from '../../src/random.ts';
import { loadTestBackend } from '../helpers/engine.ts';

type Op = (...inputs: tf.Tensor[]) => tf.Tensor;

const random = createRandom(3);

/** Normal numbers, of which only `share` are not zero. */
function numbers(shape: readonly number[], share = 1) {
  const data = Float32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, () =>
    random.next() < share ? random.normal() : 0,
  );
  return { data, shape: [...shape] };
}

const tensorOf = ({ data, shape }: ReturnType<typeof numbers>) => tf.tensor(data, shape);
const plainLinear: Op = (x, w, b) => tf.add(tf.matMul(x as tf.Tensor2D, w as tf.Tensor2D), b!);
const plainSparse: Op = (x) => tf.mean(tf.abs(x));
const plainTopK =
  (k: number): Op =>
  (x) =>
    tf.relu(topK(x as tf.Tensor2D, k));

/** Rows, inputs and outputs that fill no whole tile, more panels than a thread takes, a depth of several blocks. */
const SHAPES = [
  [1, 1, 1],
  [7, 33, 50],
  [66, 40, 101],
  [9, 2100, 49],
  [130, 17, 8],
] as const;

beforeAll(() => loadTestBackend('auto'));

test('are there on the native backend', () => expect(hasKernels()).toBe(true));

describe.each(SHAPES)('linear of %i × %i by %i', (M, K, N) => {
  test.each([1, 0.04])('equals its definition, and so do its gradients, with a share of %d', (share) => {
    const [x, w, b] = [numbers([M, K], share), numbers([K, N]), numbers([N])];
    const own: Op = (x, w, b) => linear(x as tf.Tensor2D, w as tf.Tensor2D, b!);
    compare(own, plainLinear, [x, w, b].map(tensorOf), 2e-5 * Math.sqrt(K + M));
  });

  test.each([1, 0.04])('leaves out the gradient where nothing is active, with a share of %d', (share) => {
    const active = Math.ceil(K / 2);
    const [x, w, b] = [numbers([M, K], share), numbers([K, N]), numbers([N])].map(tensorOf);
    const of = (op: Op) => (x: tf.Tensor) => tf.sum(tf.mul(tf.sin(op(x, w!, b!)), 0.5));
    const own = tf.grad(of((x, w, b) => linear(x as tf.Tensor2D, w as tf.Tensor2D, b!, active)))(x!);
    const whole = tf.grad(of(plainLinear))(x!);
    const column = tf.range(0, K, 1, 'float32');
    const passes = tf.logicalOr(tf.notEqual(x!, 0), tf.greaterEqual(tf.expandDims(column, 0), active));
    expectClose(own, tf.mul(whole, tf.cast(passes, 'float32')), 1e-4 * Math.sqrt(N));
  });
});

test.each([
  [0, 3, 4],
  [2, 0, 4],
  [2, 3, 0],
])('linear of %i × %i by %i has nothing to add up, and gradients of as little', (M, K, N) => {
  const own: Op = (x, w, b) => linear(x as tf.Tensor2D, w as tf.Tensor2D, b!);
  const [x, w, b] = [numbers([M, K]), numbers([K, N]), numbers([N])].map(tensorOf);
  const [y, plain] = [own(x!, w!, b!), plainLinear(x!, w!, b!)];
  expect([y.shape, [...y.dataSync()]]).toEqual([plain.shape, [...plain.dataSync()]]);
  const gradients = tf.grads((x, w, b) => tf.sum(own(x!, w!, b!)))([x!, w!, b!]);
  expect(gradients.map(({ shape }) => shape)).toEqual([[M, K], [K, N], [N]]);
  expect(gradients.flatMap((gradient) => [...gradient.dataSync()]).every(Number.isFinite)).toBe(true);
});

describe('stacks', () => {
  const [C, M, K, N] = [5, 9, 33, 50];
  const shapes = [
    [C, M, K],
    [C, K, N],
    [C, N],
  ] as const;

  test.each([1, 0.04])('each is multiplied by its own, with a share of %d', (share) => {
    const inputs = shapes.map((shape, i) => tensorOf(numbers(shape, i === 0 ? share : 1)));
    const own: Op = (x, w, b) => linear(x as tf.Tensor3D, w as tf.Tensor3D, b ?? null);
    const plain: Op = (x, w, b) => tf.add(tf.matMul(x!, w!), b ? tf.expandDims(b, 1) : 0);
    compare(own, plain, inputs, 2e-5 * Math.sqrt(K + M));
    compare(own, plain, inputs.slice(0, 2), 2e-5 * Math.sqrt(K + M));
  });

  test('a stack goes with one of as many', () => {
    const [x, w, b] = [numbers([2, 3, 4]), numbers([3, 4, 5]), numbers([3, 5])].map(tensorOf);
    expect(() => linear(x as tf.Tensor3D, w as tf.Tensor3D, b!)).toThrow(
      /x \[2, 3, 4\] · weight \[3, 4, 5\]/,
    );
  });
});

test('linear says which shapes do not fit', () => {
  const [x, w, b] = [numbers([2, 3]), numbers([4, 5]), numbers([5])].map(tensorOf);
  expect(() => linear(x as tf.Tensor2D, w as tf.Tensor2D, b!)).toThrow(/x \[2, 3\] · weight \[4, 5\]/);
});

describe('activations', () => {
  test.each([1, 3, 40])('the %i largest of a row that are above 0', (k) => {
    compare((x) => topKRelu(x as tf.Tensor2D, k), plainTopK(k), [tensorOf(numbers([9, 40]))], 1e-6);
  });

  test('of equal values the leftmost are kept', () => {
    const x = tf.tensor2d([
      [1, 2, 1, 1],
      [-1, 0, -2, 0],
      [5, 5, 5, 5],
    ]);
    expect(topKRelu(x, 2).arraySync()).toEqual([
      [1, 2, 0, 0],
      [0, 0, 0, 0],
      [5, 5, 0, 0],
    ]);
  });

  test('relu', () =>
    compare(
      (x) => relu(x as tf.Tensor2D),
      (x) => tf.relu(x!),
      [tensorOf(numbers([5, 33]))],
      1e-6,
    ));
});

describe.each([
  [4, 9, 2],
  [66, 1300, 6],
])('penalties of %i rows, %i free latents and %i slots', (B, n, C) => {
  test.each([
    [true, true],
    [true, false],
    [false, true],
    [false, false],
  ])('equal the terms and their gradients, slots stopped: %s, with indep: %s', (stop, asksIndep) => {
    const own: Op = (free, slots) => penalties(slots as tf.Tensor2D, free as tf.Tensor2D, stop, asksIndep);
    const plain: Op = (free, slots) => {
      const [F, S] = [free as tf.Tensor2D, slots as tf.Tensor2D];
      return tf.stack([plainSparse(F), asksIndep ? indep(F) : tf.scalar(0), ortho(S, F, stop)]);
    };
    const free = tf.add(tensorOf(numbers([B, n])), 0.5); // its mean is not 0, as activations' is not
    compare(own, plain, [free, tensorOf(numbers([B, C]))], 2e-3);
  });
});

test('mean magnitudes equal their definition, and so does their gradient, which is 0 at 0', () => {
  const op: Op = (x) => sparse(x as tf.Tensor2D);
  compare(op, plainSparse, [tensorOf(numbers([37, 1030]))], 1e-6);
  expect([
    ...tf
      .grad(op)(
        tf.tensor2d([
          [2, 0],
          [-3, 0],
        ]),
      )
      .dataSync(),
  ]).toEqual([0.25, 0, -0.25, 0]);
});

test('relu takes stacks of matrices', () => {
  const stack = tensorOf(numbers([3, 5, 7]));
  compare(
    (x) => relu(x),
    (x) => tf.relu(x),
    [stack],
    1e-6,
  );
});

/** Where the update multiplies by itself: many rows, few rows that are not zero, columns alike, more than one block. */
describe.each([
  { M: 66, share: 1, gradientShare: 1 },
  { M: 66, share: 0.03, gradientShare: 1 },
  { M: 66, share: 1, gradientShare: 0.03 },
  { M: 1100, share: 1, gradientShare: 1 },
])('an update of $M rows, $share of x and $gradientShare of the gradient not zero', (given) => {
  test.each([null, 0.05])('equals a plain one, clipped at %s', async (clipNorm) => {
    const [K, N] = [37, 60];
    const options = (): StepperOptions => ({
      weights: { weight: numbersOf('w', [K, N]), bias: numbersOf('b', [N]) },
      optimizer: {
        beta1: 0.9,
        beta2: 0.99,
        epsilon: 1e-8,
        weightDecay: 0.1,
        clipNorm,
        decays: (name) => name === 'weight',
      },
      losses: {
        fit: ({ weight, bias }, { x, mask }) => {
          const y = linear(x as tf.Tensor2D, weight as tf.Tensor2D, bias!);
          return { loss: tf.mean(tf.square(tf.mul(y, mask!))) as tf.Scalar };
        },
      },
    });
    const batch = { x: numbers([given.M, K], given.share), mask: numbers([given.M, N], given.gradientShare) };
    const [compiled, eager] = [new CompiledStepper(options()), new EagerStepper(options())];
    for (let i = 0; i < 5; i++) {
      const [a, b] = [compiled, eager].map((stepper) => stepper.step('fit', batch, 0.01));
      expect(Math.abs(a!.loss! / b!.loss! - 1)).toBeLessThan(1e-6);
    }
    const [a, b] = await Promise.all([compiled.readState(), eager.readState()]);
    for (const part of ['weights', 'm', 'v'] as const)
      for (const name of ['weight', 'bias'])
        a[part][name]!.data.forEach((value, i) => {
          expect(Math.abs(value - b[part][name]!.data[i]!)).toBeLessThan(2e-5);
        });
    compiled.dispose();
    eager.dispose();
  });
});

function numbersOf(name: string, shape: number[]) {
  const own = createRandom(5, name);
  return { data: Float32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, () => own.normal()), shape };
}

/** Values and all gradients, through a scalar with another slope everywhere. */
function compare(own: Op, plain: Op, inputs: tf.Tensor[], tolerance: number): void {
  tf.tidy(() => {
    expectClose(own(...inputs), plain(...inputs), tolerance);
    const scalarOf =
      (op: Op) =>
      (...xs: tf.Tensor[]) => {
        const y = op(...xs);
        return tf.sum(tf.mul(y, tf.reshape(tf.sin(tf.range(1, y.size + 1, 1, 'float32')), y.shape)));
      };
    const expected = tf.grads(scalarOf(plain))(inputs);
    tf.grads(scalarOf(own))(inputs).forEach((gradient, i) => {
      expectClose(gradient, expected[i]!, tolerance);
    });
  });
}

function expectClose(got: tf.Tensor, expected: tf.Tensor, tolerance: number): void {
  expect(got.shape).toEqual(expected.shape);
  const size = Math.max(1, tf.max(tf.abs(expected)).dataSync()[0]!);
  expect(tf.max(tf.abs(tf.sub(got, expected))).dataSync()[0]! / size).toBeLessThan(tolerance);
}

test.each([4, -1])('a cross-entropy refuses label %i of four classes', (label) => {
  const logits = tf.zeros([2, 4]) as tf.Tensor2D;
  const losses = () => softmaxCrossEntropy(logits, tf.tensor1d([0, label], 'int32')).dataSync();
  expect(losses).toThrow(`label ${label} of row 1 is none of the classes 0 to 3`);
});
