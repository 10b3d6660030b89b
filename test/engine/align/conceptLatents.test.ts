import { beforeAll, describe, expect, test } from 'vitest';
import { findConceptLatents } from '../../../src/engine/align/conceptLatents.ts';
import { fitReadouts } from '../../../src/engine/align/readout.ts';
import { createAuroc, labelConcepts, separability } from '../../../src/engine/align/separability.ts';
import { ALIGNMENT_PRESETS } from '../../../src/engine/contract/alignmentPresets.ts';
import { saeShapes } from '../../../src/engine/sae/autoencoder.ts';
import { Sae } from '../../../src/engine/sae/sae.ts';
import { createRandom } from '../../../src/random.ts';
import { loadTestBackend } from '../../helpers/engine.ts';

describe('AUROC', () => {
  test('is the share of pairs in the right order, ties counting half', () => {
    const random = createRandom(3, 'auroc');
    const concepts = Array.from({ length: 60 }, () => random.int(3));
    // Few different values, negative ones and both zeros among them.
    const scores = Float32Array.from(concepts, () => [-1.5, -0, 0, 0.25, 1e-30, 7][random.int(6)]!);
    const aurocs = createAuroc(labelConcepts(concepts, 4))(scores);
    for (const concept of [0, 1, 2]) {
      let [pairs, right] = [0, 0];
      concepts.forEach((own, i) => {
        concepts.forEach((other, j) => {
          if (own !== concept || other === concept) return;
          pairs++;
          right += scores[i]! > scores[j]! ? 1 : scores[i]! === scores[j]! ? 0.5 : 0;
        });
      });
      expect(aurocs[concept]).toBeCloseTo(right / pairs, 10);
    }
    expect(aurocs[3]).toBeNaN();
  });

  test('becomes a separability from 0 to 1', () => {
    expect([0.2, 0.5, 0.75, 1].map(separability)).toEqual([0, 0, 0.5, 1]);
  });
});

describe('a readout', () => {
  beforeAll(() => loadTestBackend());

  test('of the first m latents is that fitted on them alone, and solves its equations', () => {
    const random = createRandom(4, 'readout');
    const [n, M] = [50, 5];
    const columns = Array.from({ length: M }, (_, j) =>
      Float32Array.from({ length: n }, () => (j === 3 ? 2 : 0.1 * j + (1 + j) * random.normal())),
    );
    const isAbout = Float32Array.from({ length: n }, (_, i) => Number(columns[0]![i]! + columns[2]![i]! > 0));
    const weightsOf = fitReadouts(columns, isAbout);
    for (let m = 1; m <= M; m++) {
      const alone = fitReadouts(columns.slice(0, m), isAbout)(m);
      Array.from(weightsOf(m)).forEach((weight, j) => {
        expect(weight).toBeCloseTo(alone[j]!, 8);
      });
    }
    expect(weightsOf(M)[3]).toBe(0); // it does not vary
    // Ridge regression: the residual's covariance with each standardised latent is the ridge times its weight.
    const mean = (values: ArrayLike<number>) => Array.from(values).reduce((a, b) => a + b, 0) / values.length;
    const std = (values: ArrayLike<number>) =>
      Math.sqrt(mean(Array.from(values, (v) => v * v)) - mean(values) ** 2);
    const weights = weightsOf(M);
    const target = Array.from(isAbout, (v) => (v - mean(isAbout)) / std(isAbout));
    const residual = target.map((t, i) =>
      columns.reduce((rest, column, j) => rest - weights[j]! * (column[i]! - mean(column)), t),
    );
    for (const j of [0, 1, 2, 4]) {
      const standard = Array.from(columns[j]!, (v) => (v - mean(columns[j]!)) / std(columns[j]!));
      const covariance = mean(standard.map((v, i) => v * residual[i]!));
      expect(covariance).toBeCloseTo(1e-3 * weights[j]! * std(columns[j]!), 5);
    }
  });
});

/** An SAE that passes its inputs on: latent j fires as much as axis j. */
function identitySae(width: number, nConcepts: number, concepts: number): Sae {
  const config = {
    ...{ dModel: width, nFree: width - nConcepts, nConcepts },
    ...{ activation: 'RELU' as const, k: 1, valueHeads: null },
  };
  const weights = Object.fromEntries(
    Object.entries(saeShapes(config)).map(([name, shape]) => {
      const data = new Float32Array(shape.reduce((a, b) => a * b, 1));
      if (shape.length === 2) for (let j = 0; j < width; j++) data[j * width + j] = 1;
      return [name, { data, shape }];
    }),
  );
  return new Sae({
    ...{ config, weights, bestStep: 0, settings: ALIGNMENT_PRESETS.PAPER },
    concepts: Array.from({ length: concepts }, (_, i) => `c${i}`),
    normalization: { mean: new Float32Array(width), scale: 1 },
    conceptMeans: new Float32Array(concepts * width),
  });
}

/** Prompts of two concepts; `rowOf` says how each fires the latents. */
function populations(rowOf: (concept: number, i: number, split: string) => number[]) {
  const prompts = (['TRAIN', 'TEST_OOD'] as const).flatMap((split) =>
    Array.from({ length: 40 }, (_, i) => ({
      ...{ id: `${split}${i}`, prompt: '', answer: '', entity: 'x', template: '', split },
      concepts: [i % 2],
      h: Float32Array.from(rowOf(i % 2, i, split)),
    })),
  );
  return { SEEN: prompts, VALIDATION: [], UNSEEN: [] };
}

describe('concept latents', () => {
  beforeAll(() => loadTestBackend());
  const breathe = async () => {};

  test('are chosen on TRAIN and scored on TEST_OOD, with their mean where they fire', async () => {
    const sae = identitySae(4, 0, 2);
    const found = await findConceptLatents(
      sae,
      // Latent 1 tells concept 0 on TRAIN alone; latent 2 tells concept 1 by firing on half of its prompts.
      populations((concept, i, split) => [
        0.5,
        Number(concept === 0 && split === 'TRAIN') * 3,
        Number(concept === 1 && i % 4 === 1) * 2,
        i % 3,
      ]),
      breathe,
    );
    expect(found).toMatchObject([
      { concept: 0, latent: 1, separability: 1, heldOutSeparability: 0, meanActivation: 3 },
      { concept: 1, latent: 2, separability: 0.5, heldOutSeparability: 0.5, meanActivation: 2 },
    ]);
    sae.dispose();
  });

  test('of an alignment are the slots, and fragmentation counts what a readout needs', async () => {
    const sae = identitySae(6, 2, 2);
    const random = createRandom(1, 'fragments');
    const spread = new Map<string, number[]>();
    const found = await findConceptLatents(
      sae,
      // Concept 1 is told by slot 5 and, together, by latents 0 … 2, each of which fires on a third of its prompts.
      populations((concept, i, split) => {
        const key = `${split}${i}`;
        const part =
          spread.get(key) ?? [0, 1, 2].map((j) => Number(concept === 1 && Math.floor(i / 2) % 3 === j));
        spread.set(key, part);
        return [...part, Math.abs(random.normal()), 0, Number(concept === 1)];
      }),
      breathe,
    );
    expect(found[1]).toMatchObject({ latent: 5, separability: 1, heldOutSeparability: 1, fragmentation: 1 });
    expect(found[0]).toMatchObject({ latent: 4, separability: 0 });
    const free = await findConceptLatents(
      identitySae(4, 0, 2),
      populations((_, i, split) => [...spread.get(`${split}${i}`)!, 0]),
      breathe,
    );
    expect(free[1]!.fragmentation).toBe(3);
    expect(free[1]!.separability).toBeCloseTo(0.35, 1);
    sae.dispose();
  });
});
