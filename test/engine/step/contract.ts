/** What every stepper promises, whichever way it runs. */
import * as tf from '@tensorflow/tfjs-core';
import { describe, expect, test } from 'vitest';
import type { Arrays } from '../../../src/engine/contract/arrays.ts';
import type { AdamWSettings, Stepper, StepperOptions } from '../../../src/engine/step/stepper.ts';
import {
  adamW,
  batchOf,
  classifier,
  crossEntropy,
  initialWeights,
  linearLoss,
  randomArrays,
} from './problem.ts';

type Make = (options: StepperOptions) => Stepper;

export function describeStepper(make: Make): void {
  const using = async (options: StepperOptions, run: (stepper: Stepper) => unknown) => {
    const stepper = make(options);
    try {
      await run(stepper);
    } finally {
      stepper.dispose();
    }
  };

  describe('gradients', () => {
    test('are those of finite differences', () =>
      using(classifier(), async (stepper) => {
        const batch = batchOf(9);
        stepper.step('crossEntropy', batch, 0);
        const { m, weights } = await stepper.readState();
        for (const [name, { data }] of Object.entries(weights)) {
          const numeric: number[] = [];
          for (let i = 0; i < data.length; i++) numeric.push(await slope(stepper, batch, name, i));
          const analytic = Array.from(m[name]!.data, (value) => value / (1 - adamW.beta1));
          expectClose(analytic, numeric, 2e-3);
          expect(Math.max(...numeric.map(Math.abs))).toBeGreaterThan(0.02);
        }
      }));

    test('come with the loss before the update and what else it reports', () =>
      using(classifier(), async (stepper) => {
        const batch = batchOf(9);
        const before = (await stepper.evaluate('loss', batch)).loss!.data[0]!;
        const reported = stepper.step('crossEntropy', batch, 0.1);
        expect(Object.keys(reported).sort()).toEqual(['loss', 'spread']);
        expect(reported.loss).toBeCloseTo(before, 6);
        expect((await stepper.evaluate('loss', batch)).loss!.data[0]).toBeLessThan(before);
      }));
  });

  describe('AdamW', () => {
    const weights = { matrix: [5, 3], bias: [3] };
    const run = async (optimizer: AdamWSettings, rates: readonly number[]) => {
      const reference = referenceAdamW(randomArrays(3, weights), optimizer);
      await using(
        { weights: randomArrays(3, weights), optimizer, losses: { linear: linearLoss } },
        async (stepper) => {
          for (const [i, rate] of rates.entries()) {
            const gradients = randomArrays(10 + i, weights);
            const norm = reference.update(gradients, rate);
            const reported = stepper.step('linear', gradients, rate);
            if (optimizer.clipNorm === null) expect(reported).not.toHaveProperty('gradNorm');
            else expect(reported.gradNorm).toBeCloseTo(norm, 5);
          }
          const state = await stepper.readState();
          expect(state.updates).toBe(rates.length);
          for (const part of ['weights', 'm', 'v'] as const)
            for (const name of Object.keys(weights))
              expectClose(state[part][name]!.data, reference[part][name]!, 2e-6);
        },
      );
    };
    const rates = Array.from({ length: 20 }, (_, i) => 0.02 * Math.cos(i / 8));

    test('is a plain implementation of it', () => run(adamW, rates));
    test('has an epsilon that counts after bias correction', () => run({ ...adamW, epsilon: 0.3 }, rates));
    test('decays the weights that it should', () =>
      run({ ...adamW, weightDecay: 0.7, decays: (name) => name === 'matrix' }, rates));
    test('decays all weights unless told otherwise', () => run({ ...adamW, weightDecay: 0.7 }, rates));
    test('clips all gradients by their norm together', () => run({ ...adamW, clipNorm: 0.5 }, rates));
    test('leaves gradients alone below the norm', () => run({ ...adamW, clipNorm: 1e6 }, rates));
  });

  describe('curriculum', () => {
    const staged = () =>
      classifier({
        optimizer: { ...adamW, weightDecay: 0.1 },
        losses: { crossEntropy, head: crossEntropy },
        trainable: { head: ['out.weight'] },
      });

    test('trains only what a stage names', () =>
      using(staged(), async (stepper) => {
        stepper.step('head', batchOf(9), 0.1);
        const { weights, m } = await stepper.readState();
        const initial = initialWeights();
        expect(weights['out.weight']!.data).not.toEqual(initial['out.weight']!.data);
        for (const name of ['table', 'hidden.weight', 'hidden.bias']) {
          expect(weights[name]!.data).toEqual(initial[name]!.data);
          expect(m[name]!.data.every((value) => value === 0)).toBe(true);
        }
      }));

    test('goes on with the same weights and moments from stage to stage', () =>
      using(staged(), async (stepper) => {
        for (let i = 0; i < 3; i++) stepper.step('crossEntropy', batchOf(9, i), 0.05);
        const before = await stepper.readState();
        stepper.step('head', batchOf(9, 3), 0.05);
        const after = await stepper.readState();
        expect(after.updates).toBe(4);
        expect(after.weights.table).toEqual(before.weights.table);
        expect(after.m.table).toEqual(before.m.table);
        expect(after.v['out.weight']).not.toEqual(before.v['out.weight']);
        const lost = before.v['out.weight']!.data.every(
          (v, i) => after.v['out.weight']!.data[i]! >= 0.97 * v,
        );
        expect(lost).toBe(true);
      }));

    test('can begin a stage with a fresh optimizer', () =>
      using(classifier(), async (stepper) => {
        for (let i = 0; i < 3; i++) stepper.step('crossEntropy', batchOf(9, i), 0.05);
        stepper.resetOptimizer();
        const { weights, m, v, updates } = await stepper.readState();
        expect(updates).toBe(0);
        for (const { data } of [...Object.values(m), ...Object.values(v)])
          expect(data.every((value) => value === 0)).toBe(true);
        await using(classifier({ weights }), async (fresh) => {
          fresh.step('crossEntropy', batchOf(9, 4), 0.05);
          stepper.step('crossEntropy', batchOf(9, 4), 0.05);
          expect(await stepper.readState()).toEqual(await fresh.readState());
        });
      }));

    test('leaves weights alone that the loss does not reach', () =>
      using(
        classifier({
          optimizer: { ...adamW, weightDecay: 0.1 },
          losses: { small: ({ table }) => ({ loss: tf.sum(tf.square(table!)) as tf.Scalar }) },
        }),
        async (stepper) => {
          stepper.step('small', {}, 0.1);
          const { weights } = await stepper.readState();
          expect(weights['out.weight']).toEqual(initialWeights()['out.weight']);
          expect(weights.table).not.toEqual(initialWeights().table);
        },
      ));
  });

  describe('state', () => {
    test('is the caller’s: nothing done to what was given or taken matters', () => {
      return using(classifier(), async (stepper) => {
        const same = make(classifier());
        stepper.step('crossEntropy', batchOf(9), 0.1);
        const state = await stepper.readState();
        for (const { data } of Object.values(state.weights)) data.fill(9);
        stepper.step('crossEntropy', batchOf(9), 0.1);
        for (let i = 0; i < 2; i++) same.step('crossEntropy', batchOf(9), 0.1);
        const after = await same.readState();
        expect(await stepper.readState()).toEqual(after);
        for (const given of [after, await same.readState()]) {
          same.writeState(given);
          for (const { data } of Object.values(given.weights)) data.fill(7);
          same.step('crossEntropy', batchOf(9, 1), 0);
          expect(given.weights.table!.data.every((value) => value === 7)).toBe(true);
          expect((await same.readState()).weights).toEqual((await stepper.readState()).weights);
        }
        same.dispose();
      });
    });

    test('goes on to the last bit in a fresh stepper', async () => {
      const options = () =>
        classifier({
          optimizer: { ...adamW, weightDecay: 0.1, clipNorm: 0.5 },
          losses: { crossEntropy, second: crossEntropy },
        });
      const stepper = make(options());
      for (let i = 0; i < 5; i++) stepper.step('crossEntropy', batchOf(9, i), 0.05);
      await stepper.evaluate('logits', { ids: batchOf(4).ids! });
      const saved = await stepper.readState();
      // The fresh one meets functions and shapes in another order, and misses some.
      const resumed = make(options());
      resumed.writeState(saved);
      for (let i = 5; i < 15; i++) {
        const [loss, rows] = i < 10 ? (['crossEntropy', 9] as const) : (['second', 12] as const);
        expect(resumed.step(loss, batchOf(rows, i), 0.05)).toEqual(
          stepper.step(loss, batchOf(rows, i), 0.05),
        );
      }
      expect(await resumed.readState()).toEqual(await stepper.readState());
      expect(await resumed.evaluate('logits', { ids: batchOf(9).ids! })).toEqual(
        await stepper.evaluate('logits', { ids: batchOf(9).ids! }),
      );
      stepper.dispose();
      resumed.dispose();
    });

    test('must fit the weights', () =>
      using(classifier(), async (stepper) => {
        const state = await stepper.readState();
        const { table, ...others } = state.m;
        expect(() => stepper.writeState({ ...state, m: others })).toThrow(/m "table" is missing/);
        const short = { ...state.v, table: { data: new Float32Array(24), shape: [6, 4] } };
        expect(() => stepper.writeState({ ...state, v: short })).toThrow(
          'state: v "table" must be float32 [7, 4], got float32 [6, 4]',
        );
        expect(() => stepper.writeState({ ...state, updates: -1 })).toThrow(/updates/);
        expect(table).toBeDefined();
      }));
  });

  describe('batches', () => {
    test('may have another number of rows, with the numbers of that many rows', () =>
      using(classifier(), async (stepper) => {
        const whole = (await stepper.evaluate('logits', { ids: batchOf(9).ids! })).logits!;
        const ids = { data: batchOf(9).ids!.data.slice(0, 5), shape: [5] };
        const part = (await stepper.evaluate('logits', { ids })).logits!;
        expect(part.shape).toEqual([5, 3]);
        expectClose(part.data, whole.data.slice(0, 15), 1e-6);
        expect(stepper.step('crossEntropy', batchOf(9), 0).loss).not.toBe(
          stepper.step('crossEntropy', batchOf(4), 0).loss,
        );
      }));

    test.each<[string, (batch: Arrays) => Arrays, string | RegExp]>([
      [
        'numbers are missing',
        (b) => ({ ...b, ids: { data: new Int32Array(8), shape: [9] } }),
        /"ids" has 8 numbers; the shape \[9\] needs 9/,
      ],
      [
        'the rank differs',
        (b) => ({ ...b, ids: { data: new Int32Array(9), shape: [3, 3] } }),
        'loss "crossEntropy": batch tensor "ids" must have the type and rank of int32 [9], got int32 [3, 3]',
      ],
      [
        'the type differs',
        (b) => ({ ...b, ids: { data: new Float32Array(9), shape: [9] } }),
        /"ids" must have the type and rank of int32 \[9\], got float32 \[9\]/,
      ],
      ['a tensor is missing', ({ ids }) => ({ ids: ids! }), /batch tensor "classes" is missing; got ids/],
      [
        'a tensor is unknown',
        (b) => ({ ...b, labels: b.ids! }),
        /batch tensor "labels" is unknown; expected ids, classes/,
      ],
    ])('are refused when %s', (_, change, message) =>
      using(classifier(), (stepper) => {
        stepper.step('crossEntropy', batchOf(9), 0.1);
        expect(() => stepper.step('crossEntropy', change(batchOf(9)), 0.1)).toThrow(message);
        expect(Number.isFinite(stepper.step('crossEntropy', batchOf(9), 0.1).loss)).toBe(true);
      }),
    );

    test('come back from an evaluation as they are, integers and all', () =>
      using(
        classifier({
          evals: {
            same: (weights, { ids }) => ({
              ids: ids!,
              again: ids!,
              table: weights.table!,
              odd: tf.greater(ids!, 3),
              one: tf.scalar(1),
            }),
          },
        }),
        async (stepper) => {
          const { ids } = batchOf(9);
          const outputs = await stepper.evaluate('same', { ids: ids! });
          expect(outputs.ids).toEqual(ids);
          expect(outputs.again).toEqual(ids);
          expect(outputs.table).toEqual(initialWeights().table);
          expect(outputs.odd!.data).toEqual(Int32Array.from(ids!.data, (id) => Number(id > 3)));
          expect(outputs.one).toEqual({ data: Float32Array.of(1), shape: [] });
        },
      ));
  });

  test('names what does not exist or cannot be trained', () =>
    using(classifier(), async (stepper) => {
      expect(() => stepper.step('crossentropy', batchOf(9), 0.1)).toThrow(
        'loss "crossentropy" does not exist; there are crossEntropy',
      );
      await expect(stepper.evaluate('acts', batchOf(9))).rejects.toThrow(/there are logits, loss/);
      expect(() => make(classifier({ trainable: { crossEntropy: ['tabel'] } }))).toThrow(
        /weight "tabel" does not exist/,
      );
      const short = { ...initialWeights(), table: { data: new Float32Array(27), shape: [7, 4] } };
      expect(() => make(classifier({ weights: short }))).toThrow(/weight "table" has 27 numbers/);
    }));

  test.each([
    ['not a scalar', () => ({ loss: tf.zeros([2]) as unknown as tf.Scalar }), /scalar/],
    ['independent of the weights', () => ({ loss: tf.scalar(1) }), /none of the weights/],
  ])('refuses a loss that is %s', (_, loss, message) =>
    using(classifier({ losses: { loss } }), (stepper) => {
      expect(() => stepper.step('loss', {}, 0.1)).toThrow(message);
    }),
  );

  test('leaves no tensor behind, not even where a loss fails', async () => {
    const before = tf.memory().numTensors;
    const failing = () => {
      tf.zeros([3]);
      throw new Error('no');
    };
    const stepper = make(classifier({ losses: { crossEntropy, failing } }));
    stepper.step('crossEntropy', batchOf(9), 0.1);
    await stepper.evaluate('logits', { ids: batchOf(9).ids! });
    const held = tf.memory().numTensors;
    for (let i = 0; i < 5; i++) {
      stepper.step('crossEntropy', batchOf(9, i), 0.1);
      await stepper.evaluate('logits', { ids: batchOf(9, i).ids! });
      expect(() => stepper.step('failing', {}, 0.1)).toThrow('no');
      expect(() => stepper.step('crossEntropy', {}, 0.1)).toThrow();
      expect(tf.memory().numTensors).toBe(held);
    }
    stepper.writeState(await stepper.readState());
    stepper.resetOptimizer();
    expect(tf.memory().numTensors).toBe(held);
    stepper.dispose();
    expect(tf.memory().numTensors).toBe(before);
    expect(() => stepper.step('crossEntropy', batchOf(9), 0.1)).toThrow(/disposed/);
  });
}

/** Central difference of the loss by one number of one weight. */
async function slope(stepper: Stepper, batch: Arrays, name: string, index: number): Promise<number> {
  const state = await stepper.readState();
  const { data } = state.weights[name]!;
  const step = 1e-2;
  const original = data[index]!;
  const lossAt = async (value: number) => {
    data[index] = value;
    stepper.writeState(state);
    return (await stepper.evaluate('loss', batch)).loss!.data[0]!;
  };
  const [above, below] = [await lossAt(original + step), await lossAt(original - step)];
  data[index] = original;
  stepper.writeState(state);
  return (above - below) / (2 * step);
}

/** AdamW as PyTorch's documentation writes it, in double precision. */
function referenceAdamW(initial: Arrays, settings: AdamWSettings) {
  const plain = (value: (x: number) => number) =>
    Object.fromEntries(Object.entries(initial).map(([name, { data }]) => [name, Array.from(data, value)]));
  const weights = plain((x) => x);
  const m = plain(() => 0);
  const v = plain(() => 0);
  let t = 0;
  const update = (gradients: Arrays, rate: number): number => {
    t += 1;
    const { beta1, beta2, epsilon, weightDecay, decays, clipNorm } = settings;
    const norm = Math.hypot(...Object.values(gradients).flatMap(({ data }) => [...data]));
    const scale = clipNorm === null ? 1 : Math.min(1, clipNorm / norm);
    for (const [name, values] of Object.entries(weights))
      values.forEach((_, i) => {
        const g = scale * gradients[name]!.data[i]!;
        m[name]![i] = beta1 * m[name]![i]! + (1 - beta1) * g;
        v[name]![i] = beta2 * v[name]![i]! + (1 - beta2) * g * g;
        if (decays?.(name) ?? true) values[i]! *= 1 - rate * weightDecay;
        const [mHat, vHat] = [m[name]![i]! / (1 - beta1 ** t), v[name]![i]! / (1 - beta2 ** t)];
        values[i]! -= (rate * mHat) / (Math.sqrt(vHat) + epsilon);
      });
    return norm;
  };
  return { weights, m, v, update };
}

export function expectClose(got: ArrayLike<number>, expected: ArrayLike<number>, tolerance: number): void {
  expect(got.length).toBe(expected.length);
  const worst = Math.max(...Array.from(got, (value, i) => Math.abs(value - expected[i]!)));
  expect(worst).toBeLessThanOrEqual(tolerance);
}
