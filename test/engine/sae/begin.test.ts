/** An SAE with which another begins computes what it computed, in the units of the new normalisation. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { EncoderActivation } from '../../../src/engine/contract/alignmentSettings.ts';
import type { SaeConfig } from '../../../src/engine/contract/sae.ts';
import { initSae } from '../../../src/engine/sae/autoencoder.ts';
import { beginWith } from '../../../src/engine/sae/begin.ts';
import type { StoredSae } from '../../../src/engine/sae/file.ts';
import { Sae } from '../../../src/engine/sae/sae.ts';
import { createRandom } from '../../../src/random.ts';
import { loadTestBackend } from '../../helpers/engine.ts';
import { tinySae } from '../align/tinySae.ts';

beforeAll(() => loadTestBackend());
const made: Sae[] = [];
afterAll(() => {
  for (const sae of made) sae.dispose();
});

const random = createRandom(3, 'begin');
const noise = (n: number, scale = 1) => Float32Array.from({ length: n }, () => scale * random.normal());

function given(activation: EncoderActivation): StoredSae {
  const config: SaeConfig = { dModel: 8, nFree: 20, nConcepts: 0, activation, k: 6, valueHeads: null };
  const weights = initSae(config, 1);
  weights['encoder.bias']!.data.set(noise(20, 0.3));
  weights['decoder.bias']!.data.set(noise(8, 0.3));
  weights.threshold?.data.set(noise(weights.threshold.data.length).map(Math.abs));
  return {
    ...{ ...tinySae(1, { slots: false }), config, weights },
    normalization: { mean: noise(8), scale: 0.7 },
  };
}

test.each(['LINEAR', 'RELU', 'TOPK', 'BATCH_TOPK', 'JUMP_RELU'] as const)('%s', (activation) => {
  const stored = given(activation);
  const before = new Sae(stored);
  const config = { ...stored.config, nConcepts: 3 };
  const normalization = { mean: noise(8), scale: 2.5 };
  const weights = beginWith(stored, config, normalization, 5);
  // Slots, which are fresh, write nothing here.
  weights['decoder.weight']!.data.fill(0, 20 * 8);
  const after = new Sae({ ...stored, config, weights, normalization });
  made.push(before, after);
  expect(weights['decoder.weight']!.data.slice(0, 160)).toEqual(stored.weights['decoder.weight']!.data);
  const h = noise(10 * 8, 2);
  const [old, fresh] = [before.latents(h), after.latents(h)];
  const q = 2.5 / 0.7;
  expect(old.some((value) => value !== 0)).toBe(true);
  for (let row = 0; row < 10; row++)
    for (let latent = 0; latent < 20; latent++)
      expect(fresh[row * 23 + latent]! * q).toBeCloseTo(old[row * 20 + latent]!, 4);
  const [expected, rebuilt] = [before.reconstruct(h), after.reconstruct(h)];
  rebuilt.forEach((value, i) => {
    expect(value).toBeCloseTo(expected[i]!, 4);
  });
});
