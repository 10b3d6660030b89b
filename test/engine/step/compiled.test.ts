import * as tf from '@tensorflow/tfjs-core';
import { beforeAll, describe, expect, inject, test } from 'vitest';
import { nativeBackend } from '../../../src/engine/native/rawOps.ts';
import { CompiledStepper } from '../../../src/engine/step/compiled.ts';
import { createStepper } from '../../../src/engine/step/create.ts';
import { EagerStepper } from '../../../src/engine/step/eager.ts';
import type { Stepper, StepperOptions, StepperState } from '../../../src/engine/step/stepper.ts';
import { loadTestBackend } from '../../helpers/engine.ts';
import { describeStepper, expectClose } from './contract.ts';
import { adamW, batchOf, classifier, crossEntropy, randomArrays } from './problem.ts';

/** The classifier at sizes that TensorFlow splits over threads. */
const wide = () =>
  classifier({
    weights: randomArrays(1, {
      table: [7, 64],
      'hidden.weight': [64, 256],
      'hidden.bias': [256],
      'out.weight': [256, 3],
    }),
    optimizer: { ...adamW, weightDecay: 0.1, clipNorm: 0.5 },
  });

/** A scalar whose gradient differs from element to element. */
const weighted = (x: tf.Tensor) =>
  tf.sum(tf.mul(tf.square(x), tf.reshape(tf.range(1, x.size + 1), x.shape))) as tf.Scalar;

describe.skipIf(!inject('native').available)('on TensorFlow', () => {
  beforeAll(() => loadTestBackend('native'));

  describeStepper((options) => new CompiledStepper(options));

  test('is what createStepper makes', () => {
    const stepper = createStepper(classifier());
    expect(stepper).toBeInstanceOf(CompiledStepper);
    stepper.dispose();
  });

  test('computes what eager steps compute, over 60 steps', async () => {
    const options = classifier({ optimizer: { ...adamW, weightDecay: 0.1, clipNorm: 0.5 } });
    const train = async (stepper: Stepper) => {
      const losses: number[] = [];
      for (let i = 0; i < 60; i++) losses.push(stepper.step('crossEntropy', batchOf(32, i), 0.02).loss!);
      const { weights } = await stepper.readState();
      const outputs = await stepper.evaluate('logits', { ids: batchOf(32).ids! });
      stepper.dispose();
      return { losses, weights, outputs };
    };
    const eager = await train(new EagerStepper(options));
    const compiled = await train(new CompiledStepper(options));
    expectClose(compiled.losses, eager.losses, 1e-5);
    expect(eager.losses[59]).toBeLessThan(0.9 * eager.losses[0]!);
    for (const name of Object.keys(eager.weights))
      expectClose(compiled.weights[name]!.data, eager.weights[name]!.data, 1e-4);
    expectClose(compiled.outputs.logits!.data, eager.outputs.logits!.data, 1e-4);
    expect(compiled.outputs.best!.data).toEqual(eager.outputs.best!.data);
  });

  test('gives the same bits each time, with threads at work', async () => {
    const runs: StepperState[] = [];
    for (let run = 0; run < 3; run++) {
      const stepper = new CompiledStepper(wide());
      for (let i = 0; i < 25; i++) stepper.step('crossEntropy', batchOf(2048, i), 1e-2);
      runs.push(await stepper.readState());
      stepper.dispose();
    }
    expect(runs[1]).toEqual(runs[0]);
    expect(runs[2]).toEqual(runs[0]);
  });

  /** tfjs has no gradient for these. */
  const forwardOnly = ['strides', 'contractions', 'rankings', 'logic'];

  test.each<[string, (x: tf.Tensor2D) => tf.Tensor]>(
    Object.entries({
      logic: (x) => tf.cast(tf.logicalOr(tf.logicalNot(tf.greater(x, 0)), tf.isNaN(x)), 'float32'),
      slices: (x) => tf.concat([tf.slice(x, [0, 1], [4, 2]), tf.slice(x, [1, 0], [4, 2])], 0),
      strides: (x) => tf.stridedSlice(x, [0, 0], [5, 4], [2, 1]),
      shapes: (x) => tf.tile(tf.expandDims(tf.transpose(tf.reshape(x, [4, 5]))), [2, 1, 1]),
      stacks: (x) => tf.stack(tf.unstack(x, 1).reverse()),
      splits: (x) => tf.add(tf.split(x, 2, 1)[0]!, tf.split(x, [1, 1, 2], 1)[2]!),
      pads: (x) =>
        tf.pad(
          x,
          [
            [1, 0],
            [0, 2],
          ],
          0.5,
        ),
      choices: (x) => tf.where(tf.tensor1d([1, 0, 0, 1], 'bool'), x, tf.mul(x, -2)),
      rectifiers: (x) => tf.add(tf.relu(x), tf.abs(x)),
      maxima: (x) => tf.mul(tf.maximum(x, 0.1), tf.minimum(x, tf.scalar(0.2))),
      clips: (x) => tf.clipByValue(x, -0.2, 0.4),
      reductions: (x) => tf.add(tf.max(x, 1), tf.add(tf.mean(x, 1), tf.logSumExp(x, 1))),
      softmaxes: (x) => tf.add(tf.softmax(x), tf.logSoftmax(x)),
      functions: (x) => tf.add(tf.exp(x), tf.add(tf.sigmoid(x), tf.mul(tf.erf(x), tf.softplus(x)))),
      powers: (x) => tf.add(tf.pow(tf.add(tf.square(x), 1), 1.5), tf.rsqrt(tf.add(tf.square(x), 1))),
      contractions: (x) => tf.einsum('ij,kj->ik', x, x),
      rankings: (x) => tf.topk(x, 2).values,
      sums: (x) => tf.add(tf.cumsum(x, 1), tf.sum(x, 0, true)),
      gathers: (x) => tf.gather(x, tf.tensor1d([3, 0, 3], 'int32')),
      scatters: (x) =>
        tf.mul(
          x,
          tf.scatterND(
            tf.tensor2d(
              [
                [1, 2],
                [4, 0],
              ],
              undefined,
              'int32',
            ),
            tf.tensor1d([2, 3]),
            [5, 4],
          ),
        ),
      onehots: (x) => tf.matMul(x, tf.oneHot(tf.tensor1d([0, 2, 1, 1], 'int32'), 3, 1, 0, 'float32')),
      casts: (x) => tf.mul(x, tf.cast(tf.cast(tf.mul(x, 10), 'int32'), 'float32')),
      ranges: (x) => tf.mul(x, tf.add(tf.range(0, 4), tf.linspace(0, 1, 4))),
    } satisfies Record<string, (x: tf.Tensor2D) => tf.Tensor>),
  )('compiles %s and their gradients', async (name, compute) => {
    const options = {
      weights: randomArrays(5, { x: [5, 4] }),
      optimizer: adamW,
      losses: {
        sum: ({ x }: Record<string, tf.Tensor>) => ({
          loss: weighted(forwardOnly.includes(name) ? x! : compute(x as tf.Tensor2D)),
        }),
      },
      evals: { value: ({ x }: Record<string, tf.Tensor>) => ({ value: compute(x as tf.Tensor2D) }) },
    };
    const run = async (stepper: Stepper) => {
      const { value } = await stepper.evaluate('value', {});
      const { loss } = stepper.step('sum', {}, 0.1);
      const { m } = await stepper.readState();
      stepper.dispose();
      return { value: value!, loss: loss!, gradient: m.x!.data };
    };
    const [eager, compiled] = [await run(new EagerStepper(options)), await run(new CompiledStepper(options))];
    expect(compiled.value.shape).toEqual(eager.value.shape);
    expectClose(compiled.value.data, eager.value.data, 1e-5);
    expect(compiled.loss / eager.loss).toBeCloseTo(1, 5);
    expectClose(compiled.gradient, eager.gradient, 1e-4);
  });

  describe('refuses what a graph would freeze', () => {
    let calls = 0;
    test.each<[string, StepperOptions['losses'][string], RegExp]>([
      [
        'numbers drawn in JavaScript',
        ({ table }) => ({ loss: tf.sum(tf.mul(table!, tf.randomNormal([7, 4]))) as tf.Scalar }),
        /loss "frozen" is not the same twice \(Mul differs\)/,
      ],
      [
        'dropout',
        ({ table }) => ({ loss: tf.sum(tf.dropout(table!, 0.5)) as tf.Scalar }),
        /not the same twice/,
      ],
      [
        'native random ops',
        ({ table }) => ({
          loss: tf.sum(
            tf.mul(table!, tf.cast(tf.multinomial(tf.ones([7, 4]) as tf.Tensor2D, 4), 'float32')),
          ) as tf.Scalar,
        }),
        /loss "frozen" draws random numbers/,
      ],
      [
        'a read-back',
        ({ table }) => ({ loss: tf.sum(tf.mul(table!, table!.arraySync() as number[][])) as tf.Scalar }),
        /loss "frozen" reads a tensor back/,
      ],
      [
        'a counter',
        ({ table }) => ({ loss: tf.sum(tf.mul(table!, calls++)) as tf.Scalar }),
        /not the same twice/,
      ],
      [
        'a branch on a counter',
        ({ table }) => ({ loss: tf.sum(calls++ % 2 ? table! : tf.square(table!)) as tf.Scalar }),
        /not the same twice/,
      ],
    ])('%s', (_, frozen, message) => {
      const stepper = new CompiledStepper(classifier({ losses: { crossEntropy, frozen } }));
      const before = tf.memory().numTensors;
      expect(() => stepper.step('frozen', {}, 0.1)).toThrow(message);
      expect(tf.memory().numTensors).toBe(before);
      // The backend is as it was: reading works again, and another loss compiles.
      expect(tf.tidy(() => tf.scalar(3).dataSync()[0])).toBe(3);
      stepper.step('crossEntropy', batchOf(9), 0.1);
      stepper.dispose();
    });
  });

  test('refuses ids that are not rows, also once compiled', () => {
    const stepper = new CompiledStepper(classifier());
    stepper.step('crossEntropy', batchOf(9), 0.1);
    const outside = { ...batchOf(9), ids: { data: new Int32Array(9).fill(7), shape: [9] } };
    expect(() => stepper.step('crossEntropy', outside, 0.1)).toThrow(/7 is not in \[0, 7\)/);
    stepper.dispose();
  });

  test('bakes in tensors that a loss closes over', () => {
    const scale = tf.tensor1d([1, 2, 3, 4]);
    const loss = ({ table }: Record<string, tf.Tensor>) => ({
      loss: tf.sum(tf.mul(table!, scale)) as tf.Scalar,
    });
    const stepper = new CompiledStepper(classifier({ losses: { loss } }));
    const first = stepper.step('loss', {}, 0).loss!;
    scale.dispose();
    expect(stepper.step('loss', {}, 0).loss).toBe(first);
    stepper.dispose();
  });

  test('frees what it loaded, as it goes on and at the end', async () => {
    const { binding } = nativeBackend();
    const [sessions, tensors] = [binding.getNumOfSavedModels(), binding.getNumOfTensors()];
    const stepper = new CompiledStepper(classifier());
    for (let rows = 1; rows <= 20; rows++) {
      // Weights come from arrays at first, then from the training session.
      if (rows > 5) stepper.step('crossEntropy', batchOf(1 + (rows % 3)), 0.1);
      await stepper.evaluate('logits', { ids: batchOf(rows).ids! });
    }
    expect(binding.getNumOfSavedModels() - sessions).toBe(17);
    expect(binding.getNumOfTensors()).toBe(tensors);
    stepper.dispose();
    expect(binding.getNumOfSavedModels()).toBe(sessions);
  });

  test('keeps no second copy of large weights once it steps', async () => {
    const rows = 2 ** 20;
    const { stepper, given } = (() => {
      const data = new Float32Array(rows * 17).fill(0.5);
      const stepper = new CompiledStepper({
        weights: { w: { data, shape: [rows, 17] } },
        optimizer: adamW,
        losses: { first: ({ w }, { row }) => ({ loss: tf.mean(tf.gather(w!, row as tf.Tensor1D)) }) },
      });
      return { stepper, given: new WeakRef(data) };
    })();
    // What a reference was made to stays there until the end of the turn.
    await new Promise(setImmediate);
    const batch = { row: { data: Int32Array.of(3), shape: [1] } };
    expect(stepper.step('first', batch, 1e-3).loss).toBeCloseTo(0.5, 6);
    expect(given.deref()).toBeUndefined();
    expect(stepper.step('first', batch, 1e-3).loss).toBeLessThan(0.5);
    stepper.dispose();
  });

  test('does not grow over 10,000 steps', () => {
    const stepper = new CompiledStepper({
      weights: randomArrays(1, { w: [64, 8] }),
      optimizer: adamW,
      losses: {
        size: ({ w }, { x }) => ({ loss: tf.mean(tf.square(tf.matMul(x as tf.Tensor2D, w as tf.Tensor2D))) }),
      },
    });
    const batch = randomArrays(2, { x: [256, 64] });
    const run = (steps: number) => {
      for (let i = 0; i < steps; i++) stepper.step('size', batch, 1e-3);
      return process.memoryUsage().rss;
    };
    const before = run(500);
    // Were what a step is fed (64 kB) or makes (16 kB) kept, this would be hundreds of megabytes.
    expect((run(9500) - before) / 2 ** 20).toBeLessThan(16);
    stepper.dispose();
  });
});
