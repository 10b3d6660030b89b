/** Pages and searches over activations made by hand, so that every number on them is known. */
import * as tf from '@tensorflow/tfjs-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { LatentPage } from '../../../src/engine/contract/latents.ts';
import type { CapturedPrompts } from '../../../src/engine/latents/capture.ts';
import { describeLatents } from '../../../src/engine/latents/page.ts';
import { surveyLatents } from '../../../src/engine/latents/survey.ts';
import type { LoadedPair } from '../../../src/engine/loaded.ts';
import { createLanguageModel, initWeights } from '../../../src/engine/model/languageModel.ts';
import { Sae } from '../../../src/engine/sae/sae.ts';
import { loadTestBackend } from '../../helpers/engine.ts';
import { handmadeSae } from '../align/handmade.ts';
import { tinySae } from '../align/tinySae.ts';
import { tinyConfig, tinyModel, tinyTokenizer } from '../model/tiny.ts';

/** Latents of the handmade SAE. */
const [FREE_0, FREE_1, SLOT_0, SLOT_1] = [0, 1, 2, 3];

/** What is asked about, whether the SAE learned from it, and the latents that it sets. */
const ROWS = [
  { concept: 0, learned: true, slots: [1, 0], free: [0, 2] },
  { concept: 0, learned: true, slots: [0.5, 0.25], free: [0, 0] },
  { concept: 1, learned: true, slots: [0.25, 1], free: [3, 0] },
  { concept: 1, learned: false, slots: [0.75, 0.75], free: [1, 0] },
  { concept: 0, learned: false, slots: [1, 0], free: [0, 0] },
];

describe.each(['auto', 'wasm'] as const)('on the %s backend', (choice) => {
  let pair: LoadedPair;
  let captured: CapturedPrompts;
  beforeAll(async () => {
    await loadTestBackend(choice);
    const { sae, activation } = handmadeSae();
    const config = { ...tinyConfig, dModel: 5, nHeads: 1 };
    const weights = initWeights(config, 0, 0);
    // Token 3 + j is embedded as axis j; the others as 0.
    for (let axis = 0; axis < 5; axis++) weights['wte.weight']!.data[(3 + axis) * 5 + axis] = 1;
    pair = { sae, model: createLanguageModel(config, weights, tinyTokenizer) };
    captured = {
      datasetId: 'd',
      nConcepts: 2,
      prompts: ROWS.map(({ concept, learned }, i) => {
        return { id: `p${i}`, concept, learned, split: learned ? 'TRAIN' : 'TEST_OOD' };
      }),
      h: Float32Array.from(ROWS.flatMap((row) => [...activation(row)])),
    };
  });
  afterAll(() => {
    pair.model.dispose();
    pair.sae.dispose();
  });
  const pageOf = (latent: number) => describeLatents(pair, captured, [latent])[0] as LatentPage;

  test('a slot fires above one half, and is measured for each concept', () => {
    const page = pageOf(SLOT_0);
    expect(page).toMatchObject({ latent: SLOT_0, firing: { fired: 3, prompts: 5 }, max: 1 });
    expect(page.mean).toBeCloseTo(0.7, 6);
    expect(page.concepts).toEqual([
      { firing: { fired: 2, prompts: 3 }, separability: 1 },
      { firing: { fired: 1, prompts: 2 }, separability: 0 },
    ]);
    expect(page.topExamples.map(({ promptId }) => promptId)).toEqual(['p0', 'p4', 'p3', 'p1', 'p2']);
    expect(page.topExamples[2]!.activation).toBeCloseTo(0.75, 6);
  });

  test('a free latent fires at anything but 0; its examples are those above 0', () => {
    const page = pageOf(FREE_0);
    expect(page.firing).toEqual({ fired: 2, prompts: 5 });
    expect(page.topExamples).toEqual([
      { promptId: 'p2', activation: 3 },
      { promptId: 'p3', activation: 1 },
    ]);
    expect(pageOf(FREE_1).concepts.map(({ separability }) => separability)).toEqual([0.5, 0]);
  });

  test('a histogram has its extremes in the first and the last of its equal bins', () => {
    const { histogram } = pageOf(FREE_0);
    expect(histogram).toHaveLength(20);
    const counts = histogram.map(({ count }) => count);
    expect([counts[0], counts[6], counts[19]]).toEqual([3, 1, 1]);
    expect([histogram[0]!.from, histogram[0]!.to, histogram[19]!.to]).toEqual([0, 3 / 20, 3]);
    const flat = { ...captured, prompts: captured.prompts.slice(1, 2), h: captured.h.slice(5, 10) };
    expect(describeLatents(pair, flat, [FREE_1])[0]!.histogram).toEqual([{ from: 0, to: 0, count: 1 }]);
    expect(describeLatents(pair, flat, [FREE_1])[0]!.concepts[0]!.separability).toBeNull();
  });

  test('tokens are raised and lowered by the centred decoder column, in the units of the residual stream', () => {
    const { raised, lowered } = pageOf(FREE_0); // column: axis 2, which token 5 reads; scale 2
    expect(raised[0]!.token).toBe(tinyTokenizer.decode([5]));
    expect(raised[0]!.score).toBeCloseTo(2 * (1 - 1 / 5), 5);
    expect(lowered[0]!.token).toBe(tinyTokenizer.decode([3]));
    expect(lowered[0]!.score).toBeCloseTo(-2 / 5, 5);
  });

  test('the nearest latents are those whose columns point the same way', () => {
    const { nearest } = pageOf(SLOT_0); // [1, 0, 0, ½, 0]
    expect(nearest.map(({ latent }) => latent)).toEqual([FREE_1, SLOT_1, FREE_0]);
    const cosines = [0.5 / Math.sqrt(1.25), 0.25 / 1.25, 0];
    nearest.forEach(({ cosine }, i) => {
      expect(cosine).toBeCloseTo(cosines[i]!, 5);
    });
  });

  test('pages come in the order asked for, null for latents that do not exist', () => {
    const pages = describeLatents(pair, captured, [SLOT_1, 4, FREE_0, -1]);
    expect(pages).toEqual([pageOf(SLOT_1), null, pageOf(FREE_0), null]);
  });

  test('a survey says of every latent what its page says, and tells concepts apart where the SAE learned and where it did not', async () => {
    const survey = await surveyLatents(pair.sae, captured);
    expect(survey).toMatchObject({ prompts: 5, nConcepts: 2 });
    for (const latent of [FREE_0, FREE_1, SLOT_0, SLOT_1]) {
      const { firing, mean, max } = pageOf(latent);
      expect([survey.fired[latent], survey.mean[latent], survey.max[latent]]).toEqual([
        firing.fired,
        mean,
        max,
      ]);
    }
    const of = (aurocs: Float64Array, latent: number) => [...aurocs.slice(2 * latent, 2 * latent + 2)];
    expect(of(survey.aurocs, SLOT_0)).toEqual([1, 0]);
    expect(of(survey.heldOutAurocs, SLOT_0)).toEqual([1, 0]);
    expect(of(survey.aurocs, FREE_1)).toEqual([0.75, 0.25]);
    expect(of(survey.heldOutAurocs, FREE_1)).toEqual([0.5, 0.5]);
    const learned = { ...captured, prompts: captured.prompts.slice(0, 3), h: captured.h.slice(0, 15) };
    const few = await surveyLatents(pair.sae, learned);
    expect(of(few.aurocs, FREE_0)).toEqual([0, 1]);
    expect(of(few.heldOutAurocs, FREE_0)).toEqual([Number.NaN, Number.NaN]);
  });

  test('single latents are computed as all of them together are, in any order', () => {
    const all = pair.sae.latents(captured.h);
    for (const chosen of [[SLOT_1], [FREE_1], [FREE_0], [SLOT_0, FREE_1]]) {
      const only = pair.sae.only(captured.h, chosen);
      only.forEach((value, i) => {
        const row = Math.floor(i / chosen.length);
        expect(value).toBeCloseTo(all[row * 4 + chosen[i % chosen.length]!]!, 6);
      });
    }
  });

  test('an SAE without slots has pages of its free latents, and separability for every concept', async () => {
    const sae = new Sae(tinySae(1, { slots: false }));
    const model = tinyModel();
    const h = Float32Array.from({ length: ROWS.length * 8 }, (_, i) => Math.sin(i));
    const [page, none] = describeLatents({ model, sae }, { ...captured, nConcepts: 3, h }, [3, 4]);
    expect(page!.concepts).toHaveLength(3);
    expect(page!.nearest).toHaveLength(3);
    expect(none).toBeNull();
    const latents = sae.latents(h);
    expect(page!.max).toBeCloseTo(Math.max(...latents.filter((_, i) => i % 4 === 3)), 4);
    expect((await surveyLatents(sae, { ...captured, h })).max[3]).toBeCloseTo(page!.max, 5);
    sae.dispose();
    model.dispose();
  });

  test('leaves no tensor behind', async () => {
    const count = () => [tf.memory().numTensors, tf.engine().backend.numDataIds()];
    describeLatents(pair, captured, [0, 1]);
    await surveyLatents(pair.sae, captured);
    const before = count();
    describeLatents(pair, captured, [0, 1]);
    await surveyLatents(pair.sae, captured);
    expect(count()).toEqual(before);
  });
});
