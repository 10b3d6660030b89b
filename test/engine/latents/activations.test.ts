/** What fires on a text, against every latent read one position at a time. */
import * as tf from '@tensorflow/tfjs-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { captureResidPost } from '../../../src/engine/align/capture.ts';
import { TOP_LATENTS } from '../../../src/engine/contract/latents.ts';
import { readActivations } from '../../../src/engine/latents/activations.ts';
import type { LoadedPair } from '../../../src/engine/loaded.ts';
import { initSae } from '../../../src/engine/sae/autoencoder.ts';
import { Sae } from '../../../src/engine/sae/sae.ts';
import { loadTestBackend } from '../../helpers/engine.ts';
import { tinySae } from '../align/tinySae.ts';
import { tinyModel, tinyTokenizer } from '../model/tiny.ts';

const TEXT = 'Fay ada  ada, eve';

describe.each(['auto', 'wasm'] as const)('activations of a text on the %s backend', (choice) => {
  let pair: LoadedPair;
  beforeAll(async () => {
    await loadTestBackend(choice);
    pair = { model: tinyModel(), sae: new Sae(tinySae(1)) };
  });
  afterAll(() => {
    pair.model.dispose();
    pair.sae.dispose();
  });

  test('are the largest above 0 at every token, slots among them, strongest first', async () => {
    const { model, sae } = pair;
    const ids = tinyTokenizer.encode(TEXT);
    const tokens = await readActivations(pair, TEXT);
    expect(tokens.map(({ text }) => text)).toEqual(['Fay', ' ada', '  ada', ',', ' eve']);
    for (const [i, { latents, activations }] of tokens.entries()) {
      const h = await captureResidPost(model, [ids.slice(0, i + 1)], { layer: 1 });
      const z = [...sae.latents(h)].map((activation, latent) => ({ activation, latent }));
      const expected = z
        .filter(({ activation }) => activation > 1e-6)
        .sort((a, b) => b.activation - a.activation);
      expect([...latents]).toEqual(expected.map(({ latent }) => latent));
      activations.forEach((activation, k) => {
        expect(activation).toBeCloseTo(expected[k]!.activation, 4);
      });
    }
    expect(tokens.some(({ latents }) => latents.includes(sae.slot(1)))).toBe(true);
  });

  test('are at most so many', async () => {
    const { config } = tinySae(1);
    const wide = { ...config, nFree: 300 };
    const sae = new Sae({ ...tinySae(1), config: wide, weights: initSae(wide, 0) });
    const h = await captureResidPost(pair.model, [tinyTokenizer.encode('ada')], { layer: 1 });
    const z = [...sae.latents(h)].filter((value) => value > 0).sort((a, b) => b - a);
    const [token] = await readActivations({ ...pair, sae }, 'ada');
    expect(z.length).toBeGreaterThan(TOP_LATENTS);
    expect([...token!.activations]).toEqual(z.slice(0, TOP_LATENTS));
    expect([...token!.latents].map((latent) => sae.latents(h)[latent])).toEqual([...token!.activations]);
    sae.dispose();
  });

  test('name the first token that is too many', async () => {
    const text = `${'ada '.repeat(12)}Bo ada`;
    const refused = readActivations(pair, text);
    await expect(refused).rejects.toMatchObject({ code: 'INVALID_INPUT', path: ['text'] });
    await expect(refused).rejects.toThrow(/at most 12 tokens.*has 14: token 12.*" Bo" at character 47/);
    await expect(readActivations(pair, ' ')).rejects.toMatchObject({ path: ['text'] });
  });

  test('leave no tensor behind', async () => {
    const count = () => [tf.memory().numTensors, tf.engine().backend.numDataIds()];
    await readActivations(pair, TEXT);
    const before = count();
    await readActivations(pair, TEXT);
    expect(count()).toEqual(before);
  });
});
