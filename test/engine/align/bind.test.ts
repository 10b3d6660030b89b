import { beforeAll, describe, expect, test } from 'vitest';
import { measureBinding, measureSplit } from '../../../src/engine/align/bind.ts';
import { concentrationOf } from '../../../src/engine/align/concentration.ts';
import { bestMatching } from '../../../src/engine/align/matching.ts';
import { createRandom } from '../../../src/random.ts';
import { loadTestBackend } from '../../helpers/engine.ts';
import { handmadeSae } from './handmade.ts';

describe('the best matching', () => {
  test.each([1, 2, 3, 4, 5, 6])('of %i × %i is that of all permutations', (n) => {
    const random = createRandom(n, 'matching');
    for (let trial = 0; trial < 30; trial++) {
      // A third of the entries are equal, so that ties are met too.
      const scores = Array.from({ length: n }, () =>
        Array.from({ length: n }, () => (random.int(3) === 0 ? 0.5 : random.normal())),
      );
      const total = (columns: readonly number[]) => columns.reduce((sum, c, r) => sum + scores[r]![c]!, 0);
      const matching = bestMatching(scores);
      expect([...matching].sort()).toEqual(scores.map((_, i) => i));
      expect(total(matching)).toBeCloseTo(Math.max(...permutations(n).map(total)), 10);
    }
  });
});

describe('binding measures', () => {
  test('count ranks, rows and the diagonal', () => {
    const slots = Float32Array.of(
      ...[3, 2, 1, 0, 0, 0], // concept 0: first
      ...[2, 3, 1, 0, 0, 0], // concept 0: second
      ...[9, 1, 3, 2, 5, 4], // concept 1: sixth
      ...[1, 9, 3, 2, 5, 4], // concept 1: first
    );
    const measures = measureBinding(slots, [0, 0, 1, 1], 6);
    expect(measures).toMatchObject({ accuracy: 0.5, top3: 0.75, top5: 0.75, diagonalStrength: 0.5 });
    expect(measures.matrix.slice(0, 2)).toEqual([
      [0.5, 0.5, 0, 0, 0, 0],
      [0.5, 0.5, 0, 0, 0, 0],
    ]);
    expect(measures.conceptAccuracy).toEqual([0.5, 0.5, 0, 0, 0, 0]);
    expect(measures.diagonalAccuracy).toBe(0.5);
  });

  test('slots that are bound well but crosswise have diagonal accuracy 1 and strength 0', () => {
    const crosswise = Float32Array.of(0, 1, 0, 0, 0, 1, 1, 0, 0);
    const measures = measureBinding(crosswise, [0, 1, 2], 3);
    expect(measures).toMatchObject({ accuracy: 0, diagonalAccuracy: 1, diagonalStrength: 0 });
  });
});

describe('concentration', () => {
  test('is the paper’s: the exponential of the entropy of positive means, and the largest share', () => {
    expect(concentrationOf([1, 1, 1, 1])).toEqual({ effFeat: expect.closeTo(4, 12), top1Conc: 0.25 });
    expect(concentrationOf([0, 3, -5])).toEqual({ effFeat: 1, top1Conc: 1 });
    expect(concentrationOf([0.5, 0.25, 0.25])?.effFeat).toBeCloseTo(2 ** 1.5, 12); // 1.5 bits
    expect(concentrationOf([0, -1])).toBeNull();
  });
});

describe.each(['auto', 'wasm'] as const)('a split on the %s backend', (choice) => {
  beforeAll(() => loadTestBackend(choice));

  test('is measured as worked out by hand', async () => {
    const { sae, activation } = handmadeSae();
    // Free latents read axes 2 and 3; axis 4 is not reconstructed.
    const rows = [
      activation({ slots: [1, 0], free: [2, 0], lost: 1 }),
      activation({ slots: [0, 1], free: [-1, 0], lost: -1 }),
    ];
    const h = Float32Array.from(rows.flatMap((row) => [...row]));
    const measures = await measureSplit(
      sae,
      'TEST_OOD',
      { h, concepts: [0, 1], answers: [0, 1] },
      async () => {},
    );
    expect(measures).toMatchObject({ split: 'TEST_OOD', examples: 2, accuracy: 1, valueAccuracy: null });
    expect(measures.l0).toBe(0.5); // ReLU: 2 fires, −1 does not
    expect(measures.deadLatents).toBe(0.5);
    // Lost: 1² + 1² of axis 4 and 1² of the latent that cannot go below 0. Deviations: axis 0 ½, 1 ½, 2 4½, 4 2.
    expect(measures.fvu).toBeCloseTo(3 / 7.5, 5);
    sae.dispose();
  });

  test('tells by concept over how many latents it is spread, and how far apart slots are', async () => {
    const { sae, activation } = handmadeSae();
    const rows = [
      activation({ slots: [1, -3], free: [2, 0] }),
      activation({ slots: [1, 1], free: [0, 2] }), // slot 1 is below 0 on the mean
      activation({ slots: [0, 0.5], free: [-1, 0] }), // free latents cannot be
    ];
    const h = Float32Array.from(rows.flatMap((row) => [...row]));
    const data = { h, concepts: [0, 0, 1], answers: [] };
    const measures = await measureSplit(sae, 'TRAIN', data, async () => {});
    const third = { effFeat: expect.closeTo(3, 4), top1Conc: expect.closeTo(1 / 3, 5) };
    const one = { effFeat: expect.closeTo(1, 4), top1Conc: expect.closeTo(1, 5) };
    expect(measures.concentration).toEqual([third, one]);
    expect(measures.slotConcentration).toEqual([one, one]);
    expect(measures.slotMargin).toBeCloseTo((4 + 0 + 0.5) / 3, 5);
    expect(measures.conceptValueAccuracy).toBeNull();
    sae.dispose();
  });

  test('is measured by free latents in the place of slots, each in units of its own mean', async () => {
    const { sae, activation } = handmadeSae();
    const rows = [activation({ slots: [0, 0], free: [9, 0.5] }), activation({ slots: [0, 0], free: [5, 2] })];
    const h = Float32Array.from(rows.flatMap((row) => [...row]));
    const measure = (...means: number[]) => {
      const standIns = means.map((meanActivation, latent) => ({ latent, meanActivation }));
      return measureSplit(sae, 'TRAIN', { h, concepts: [0, 1], answers: [] }, async () => {}, standIns);
    };
    expect((await measure(8, 2)).accuracy).toBe(1); // 9/8 above ½/2, 5/8 below 2/2
    expect((await measure(1, 1)).conceptAccuracy).toEqual([1, 0]);
    expect((await measure(0, 2)).conceptAccuracy).toEqual([0, 1]); // one that never fires stands for nothing
    sae.dispose();
  });
});

function permutations(n: number): number[][] {
  if (n === 0) return [[]];
  return permutations(n - 1).flatMap((rest) =>
    Array.from({ length: n }, (_, at) => [...rest.slice(0, at), n - 1, ...rest.slice(at)]),
  );
}
