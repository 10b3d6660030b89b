import * as tf from '@tensorflow/tfjs-core';
import { beforeAll, describe, expect, test } from 'vitest';
import type { SaeConfig } from '../../../src/engine/contract/sae.ts';
import {
  decode,
  encode,
  foldDecoderNorm,
  initSae,
  valueLogits,
} from '../../../src/engine/sae/autoencoder.ts';
import { encodeBatch } from '../../../src/engine/sae/encoding.ts';
import * as losses from '../../../src/engine/sae/losses.ts';
import { batchTopK, NOTHING_KEPT, stopGradient, topK } from '../../../src/engine/sae/ops.ts';
import { toTensors } from '../../../src/engine/step/arrays.ts';
import { createRandom } from '../../../src/random.ts';
import { loadTestBackend } from '../../helpers/engine.ts';

const [B, D, F, C] = [6, 4, 7, 3];
const random = createRandom(11);
const normal = (size: number) => Float32Array.from({ length: size }, () => random.normal());
const x = normal(B * D);
const xhat = normal(B * D);
const free = normal(B * F);
const slots = normal(B * C);
const labels = [0, 0, 1, 1, 2, 2];
const oneHot = labels.flatMap((k) => [0, 1, 2].map((j) => Number(j === k)));

const matrix = (values: ArrayLike<number>, width: number): number[][] =>
  Array.from({ length: values.length / width }, (_, i) =>
    Array.from({ length: width }, (_, j) => values[i * width + j]!),
  );
const sum = (values: readonly number[]) => values.reduce((a, b) => a + b, 0);
function matrixOf(rows: number, width: number): number[][] {
  return matrix(normal(rows * width), width);
}
const mean = (values: readonly number[]) => sum(values) / values.length;
const meanSquare = (a: ArrayLike<number>, b: ArrayLike<number>) =>
  mean(Array.from(a, (value, i) => (value - b[i]!) ** 2));

/** Covariances of the columns of `a` with those of `b`, all of them, one by one. */
function covariances(a: number[][], b: number[][]): number[][] {
  const centred = (m: number[][]) => {
    const means = m[0]!.map((_, j) => mean(m.map((row) => row[j]!)));
    return m.map((row) => row.map((value, j) => value - means[j]!));
  };
  const [p, q] = [centred(a), centred(b)];
  return p[0]!.map((_, i) => q[0]!.map((_, j) => mean(p.map((row, k) => row[i]! * q[k]![j]!))));
}

const logSoftmax = (row: number[]) => row.map((value) => value - Math.log(sum(row.map(Math.exp))));

interface Case {
  name: string;
  /** Differentiated with respect to `at`, `[B, width]`. */
  at: Float32Array;
  width: number;
  term: (at: tf.Tensor2D) => tf.Scalar;
  naive: (at: number[][]) => number;
}

const concepts = () => tf.tensor2d(oneHot, [B, C]);
const decoderRows = matrixOf(F, D);
const dead = [1, 0, 1, 1, 0, 0, 1];
/** What the `kAux` strongest dead latents of a row rebuild. */
const rebuild = (row: number[], kAux: number) => {
  const strongest = dead
    .flatMap((isDead, i) => (isDead ? [i] : []))
    .sort((a, b) => row[b]! - row[a]!)
    .slice(0, kAux);
  return Array.from({ length: D }, (_, j) => sum(strongest.map((i) => row[i]! * decoderRows[i]![j]!)));
};
const paired = [1, 0, 1, 1, 0, 1];
const cases: Case[] = [
  {
    name: 'recon',
    at: xhat,
    width: D,
    term: (at) => losses.recon(at, tf.tensor2d(x, [B, D])),
    naive: (at) => meanSquare(at.flat(), x),
  },
  {
    name: 'sparse',
    at: free,
    width: F,
    term: losses.sparse,
    naive: (at) => mean(at.flat().map(Math.abs)),
  },
  {
    name: 'bindMse',
    at: slots,
    width: C,
    term: (at) => losses.bindMse(at, concepts()),
    naive: (at) => meanSquare(at.flat(), oneHot),
  },
  {
    name: 'bindCrossEntropy',
    at: slots,
    width: C,
    term: (at) => losses.bindCrossEntropy(at, concepts(), 5),
    naive: (at) => -mean(at.map((row, i) => logSoftmax(row.map((s) => 5 * s))[labels[i]!]!)),
  },
  ...[2, 6].map((kAux) => ({
    name: `aux, with ${kAux} for 4 dead latents`,
    at: free,
    width: F,
    term: (at: tf.Tensor2D) =>
      losses.aux(tf.tensor2d(x, [B, D]), at, tf.tensor2d(decoderRows), tf.tensor1d(dead), kAux),
    naive: (at: number[][]) => {
      const errors = at.flatMap((row, i) => rebuild(row, kAux).map((v, j) => (v - x[i * D + j]!) ** 2));
      return mean(errors) * Math.min(1, 4 / kAux);
    },
  })),
  {
    name: 'indep, against the explicit covariance matrix',
    at: free,
    width: F,
    term: losses.indep,
    naive: (at) => sum(covariances(at, at).flatMap((row, i) => row.map((c, j) => (i === j ? 0 : c * c)))),
  },
  {
    name: 'ortho for the free latents',
    at: free,
    width: F,
    term: (at) => losses.ortho(tf.tensor2d(slots, [B, C]), at, true),
    naive: (at) =>
      sum(
        covariances(matrix(slots, C), at)
          .flat()
          .map((c) => c * c),
      ),
  },
  {
    name: 'ortho for the slots, when coupled',
    at: slots,
    width: C,
    term: (at) => losses.ortho(at, tf.tensor2d(free, [B, F]), false),
    naive: (at) =>
      sum(
        covariances(at, matrix(free, F))
          .flat()
          .map((c) => c * c),
      ),
  },
  {
    name: 'value',
    at: slots,
    width: C,
    term: (at) => losses.value(at, tf.tensor1d(labels, 'int32')),
    naive: (at) => -mean(at.map((row, i) => logSoftmax(row)[labels[i]!]!)),
  },
  {
    name: 'counterfactual, over the rows that have a partner',
    at: xhat,
    width: D,
    term: (at) => losses.counterfactual(at, tf.tensor2d(x, [B, D]), tf.tensor1d(paired)),
    naive: (at) =>
      mean(at.flatMap((row, i) => (paired[i] ? [meanSquare(row, x.subarray(i * D, (i + 1) * D))] : []))),
  },
  {
    name: 'silence',
    at: slots,
    width: C,
    term: losses.silence,
    naive: (at) => mean(at.flat().map((s) => s * s)),
  },
];

describe.each(['auto', 'wasm'] as const)('on the %s backend', (choice) => {
  beforeAll(() => loadTestBackend(choice));

  test.each(cases)('$name is its naive formula, and so is its gradient', ({ at, width, term, naive }) => {
    const { value, gradient } = tf.tidy(() => {
      const tensor = tf.tensor2d(at, [at.length / width, width]);
      return {
        value: term(tensor).dataSync()[0]!,
        gradient: tf
          .grad((t: tf.Tensor) => term(t as tf.Tensor2D))(tensor)
          .dataSync(),
      };
    });
    expect(value).toBeCloseTo(naive(matrix(at, width)), 4);
    const h = 1e-4; // the naive formula is computed in double precision
    const slopes = Array.from(at, (_, i) => {
      const moved = (by: number) =>
        naive(
          matrix(
            Float64Array.from(at, (v, j) => (i === j ? v + by : v)),
            width,
          ),
        );
      return (moved(h) - moved(-h)) / (2 * h);
    });
    expectClose(gradient, slopes, 2e-3);
  });

  test('a stopped ortho leaves the slots alone', () => {
    const gradient = tf.tidy(() => {
      const f = tf.tensor2d(free, [B, F]);
      const slope = tf.grad((s: tf.Tensor) => losses.ortho(s as tf.Tensor2D, f, true));
      return slope(tf.tensor2d(slots, [B, C])).dataSync();
    });
    expect([...gradient]).toEqual(new Array(B * C).fill(0));
  });

  test('a stopped gradient is 0, the value unchanged', () => {
    const t = tf.tensor1d([1, -2, 3]);
    const slope = tf.grad((v: tf.Tensor) => tf.sum(tf.mul(v, stopGradient(v))) as tf.Scalar)(t);
    expect([...slope.dataSync()]).toEqual([1, -2, 3]); // and not twice as much
  });

  test('nothing is to be revived where no latent is dead', () => {
    const terms = tf.tidy(() => {
      const [error, decoder] = [tf.tensor2d(x, [B, D]), tf.tensor2d(decoderRows)];
      const term = (pre: tf.Tensor) => losses.aux(error, pre as tf.Tensor2D, decoder, tf.zeros([F]), 2);
      const pre = tf.tensor2d(free, [B, F]);
      return [term(pre).dataSync()[0]!, ...tf.grad(term)(pre).dataSync()];
    });
    expect(terms.every((value) => value === 0)).toBe(true);
  });

  test('BATCH_TOPK keeps the k · B largest of the batch, wherever they are, and nothing below 0', () => {
    const t = tf.tensor2d([9, 8, 7, 6, 1, -1, -2, 5], [2, 4]);
    const keep = (count: number) => {
      const { kept, smallest } = batchTopK(t, count);
      return [kept.arraySync().map((row) => row.map((v) => v + 0)), smallest.dataSync()[0]] as const;
    };
    expect(keep(4)).toEqual([
      [
        [9, 8, 7, 6],
        [0, 0, 0, 0],
      ],
      6,
    ]);
    expect(keep(8)).toEqual([
      [
        [9, 8, 7, 6],
        [1, 0, 0, 5],
      ],
      1,
    ]);
    expect(batchTopK(tf.neg(tf.relu(t)), 2).smallest.dataSync()[0]).toBe(Math.fround(NOTHING_KEPT));
    const slope = tf.grad(
      (v: tf.Tensor) => tf.sum(tf.mul(batchTopK(v as tf.Tensor2D, 3).kept, 2)) as tf.Scalar,
    );
    expect(slope(t).arraySync()).toEqual([
      [2, 2, 2, 0],
      [0, 0, 0, 0],
    ]);
  });

  test('a folded decoder has free rows of length 1 and is the same RELU function', () => {
    const config: SaeConfig = {
      dModel: D,
      nFree: F,
      nConcepts: C,
      activation: 'RELU',
      k: 2,
      valueHeads: null,
    };
    tf.tidy(() => {
      const weights = toTensors(initSae(config, 3));
      const folded = foldDecoderNorm(config, weights);
      const lengths = tf.norm(folded['decoder.weight']!, 'euclidean', 1).dataSync();
      const slotLengths = tf.norm(weights['decoder.weight']!, 'euclidean', 1).dataSync().slice(F);
      expectClose(lengths, [...new Array(F).fill(1), ...slotLengths], 1e-5);
      const input = tf.tensor2d(x, [B, D]);
      const rebuilt = (w: typeof weights) => decode(w, encode(config, w, input)).dataSync();
      expectClose(rebuilt(folded), rebuilt(weights), 1e-5);
    });
  });

  test('TOPK keeps exactly k of each row, the largest, and passes the gradient through them', () => {
    const t = tf.tensor2d([3, -1, 2, 2, 2, 0, -5, -4, -6, -7, -4, -9], [2, 6]);
    const kept = tf.add(topK(t, 3), 0); // −0 to 0
    expect(kept.arraySync()).toEqual([
      [3, 0, 2, 2, 0, 0], // of equals, the first
      [-5, -4, 0, 0, -4, 0],
    ]);
    const slope = tf.grad((v: tf.Tensor) => tf.sum(tf.mul(topK(v as tf.Tensor2D, 3), 2)) as tf.Scalar)(t);
    expect(slope.arraySync()).toEqual([
      [2, 0, 2, 2, 0, 0],
      [2, 2, 0, 0, 2, 0],
    ]);
  });

  test.each(['LINEAR', 'RELU', 'TOPK', 'BATCH_TOPK'] as const)(
    '%s latents are what the definition says',
    (activation) => {
      const config: SaeConfig = { dModel: D, nFree: F, nConcepts: C, activation, k: 2, valueHeads: null };
      const weights = initSae(config, 3);
      if (weights.threshold) weights.threshold.data[0] = 0.5;
      weights['encoder.bias']!.data.fill(-0.4); // so that among the largest there are some below 0
      const pre = matrix(x, D).map((row) =>
        Array.from({ length: F + C }, (_, j) => {
          const column = Array.from(
            { length: D },
            (_, i) => weights['encoder.weight']!.data[i * (F + C) + j]!,
          );
          return sum(row.map((value, i) => value * column[i]!)) - 0.4;
        }),
      );
      const expected = pre.map((row) => {
        const latents = row.slice(0, F);
        const threshold = [...latents].sort((a, b) => b - a)[1]!;
        const fire = {
          LINEAR: () => true,
          RELU: (v: number) => v > 0,
          TOPK: (v: number) => v >= threshold && v > 0,
          BATCH_TOPK: (v: number) => v > 0.5,
        };
        return latents.map((value) => (fire[activation](value) ? value : 0));
      });
      tf.tidy(() => {
        const tensors = toTensors(weights);
        const latents = encode(config, tensors, tf.tensor2d(x, [B, D]));
        for (const needsPre of [true, false]) {
          const inTraining = encodeBatch(config, tensors, tf.tensor2d(x, [B, D]), needsPre);
          if (activation === 'BATCH_TOPK') expectClose([countOf(inTraining.free())], [2 * B], 0);
          else expectClose(inTraining.free().dataSync(), expected.flat(), 1e-4);
          if (needsPre) {
            const free = pre.flatMap((row) => row.slice(0, F));
            expectClose(inTraining.pre!.dataSync(), free, 1e-4);
          }
        }
        expectClose(latents.free.dataSync(), expected.flat(), 1e-4);
        expectClose(
          latents.slots.dataSync(),
          pre.flatMap((row) => row.slice(F)),
          1e-4,
        ); // linear always
        const all = tf.concat2d([latents.free, latents.slots], 1);
        const plain = tf.add(
          tf.matMul(all, tensors['decoder.weight'] as tf.Tensor2D),
          tensors['decoder.bias']!,
        );
        expectClose(decode(tensors, latents).dataSync(), plain.dataSync(), 1e-5);
      });
    },
  );

  test("a value head sees its own slot and nothing else, and is its concept's own", () => {
    const valueHeads = { hidden: 5, dVocab: 8 };
    const config: SaeConfig = { dModel: D, nFree: F, nConcepts: C, activation: 'RELU', k: 2, valueHeads };
    const weights = initSae(config, 3);
    const [w1, w2] = [weights['value.hidden.weight']!.data, weights['value.out.weight']!.data];
    const expected = labels.flatMap((k, i) => {
      const slot = slots[i * C + k]!;
      const hidden = Array.from({ length: 5 }, (_, j) => Math.max(0, slot * w1[k * 5 + j]!));
      return Array.from({ length: 8 }, (_, v) => sum(hidden.map((h, j) => h * w2[(k * 5 + j) * 8 + v]!)));
    });
    const logits = tf.tidy(() =>
      valueLogits(config, toTensors(weights), tf.tensor2d(slots, [B, C])).dataSync(),
    );
    expectClose(logits, expected, 1e-4);
  });

  test('leaves no tensor behind', () => {
    const run = () =>
      tf.tidy(() => {
        const f = (t: tf.Tensor) =>
          tf.addN([losses.indep(topK(t as tf.Tensor2D, 3)), losses.sparse(t as tf.Tensor2D)]) as tf.Scalar;
        tf.grad(f)(tf.tensor2d(free, [B, F])).dataSync();
      });
    run();
    const before = [tf.memory().numTensors, tf.engine().backend.numDataIds()];
    run();
    expect([tf.memory().numTensors, tf.engine().backend.numDataIds()]).toEqual(before);
  });
});

function countOf(latents: tf.Tensor): number {
  return latents.dataSync().filter((value) => value !== 0).length;
}

function expectClose(got: ArrayLike<number>, expected: ArrayLike<number>, tolerance: number): void {
  expect(got.length).toBe(expected.length);
  for (let i = 0; i < got.length; i++) {
    expect(Math.abs(got[i]! - expected[i]!)).toBeLessThanOrEqual(tolerance * (1 + Math.abs(expected[i]!)));
  }
}
