/** One swap against the same by a prompt run thrice, and what it costs. */
import * as tf from '@tensorflow/tfjs-core';
import { afterEach, beforeAll, describe, expect, test, vi } from 'vitest';
import { captureResidPost } from '../../../src/engine/align/capture.ts';
import type { Prompt } from '../../../src/engine/contract/dataset.ts';
import { swapEdit } from '../../../src/engine/contract/edits.ts';
import { SWAP_METHODS, swapPlacement } from '../../../src/engine/contract/swap.ts';
import { applyEdits } from '../../../src/engine/edits/edit.ts';
import { slotSwap } from '../../../src/engine/edits/editors.ts';
import { generateLive } from '../../../src/engine/edits/live.ts';
import { METHODS } from '../../../src/engine/edits/methods.ts';
import { swapConcept } from '../../../src/engine/edits/swapConcept.ts';
import type { LoadedPair } from '../../../src/engine/loaded.ts';
import { generate } from '../../../src/engine/model/generate.ts';
import { promptedBy } from '../../../src/engine/model/prompting.ts';
import { Sae } from '../../../src/engine/sae/sae.ts';
import { loadTestBackend } from '../../helpers/engine.ts';
import { tinySae } from '../align/tinySae.ts';
import { tinyModel } from '../model/tiny.ts';

const PROMPT = 'fay ada ada';
const CALL = {
  prompt: PROMPT,
  source: 2,
  target: 1,
  alpha: 3,
  placement: 'LAST_TOKEN' as const,
  maxNewTokens: 6,
};

describe.each(['auto', 'wasm'] as const)('swapConcept on the %s backend', (choice) => {
  beforeAll(() => loadTestBackend(choice));

  let pair: LoadedPair;
  afterEach(() => {
    pair.model.dispose();
    pair.sae.dispose();
  });
  const load = (layer = 1) => {
    pair = { model: tinyModel(), sae: new Sae(tinySae(layer)) };
    return pair;
  };

  const cases = [-1, 1, 2].flatMap((layer) => SWAP_METHODS.map((method) => [layer, method] as const));
  test.each(cases)(
    'answers as capture, edit and generation one after the other: layer %i, %s',
    async (layer, method) => {
      const { model, sae } = load(layer);
      const answer = await swapConcept(pair, { ...CALL, method });
      const tokens = model.tokenizer.encode(PROMPT);
      const h = await captureResidPost(model, [tokens], { layer });
      const values = applyEdits(sae, h, [METHODS[method].prepare(sae, slotSwap(sae, CALL))(CALL.alpha)]);
      const [baseline] = await generate(model, [tokens], { maxNewTokens: 6 });
      const [result] = await generate(model, [tokens], { maxNewTokens: 6, edit: { layer, values } });
      for (const [got, expected] of [
        [answer.baseline, baseline!],
        [answer.result, result!],
      ] as const) {
        expect(got.text).toBe(expected.text);
        expect(got.tokens.map(({ text }) => text)).toEqual(expected.tokens.map(({ text }) => text));
        got.tokens.forEach(({ probability }, i) => {
          expect(probability).toBeCloseTo(expected.tokens[i]!.probability, 5);
        });
      }
      expectClose(
        answer.slots.map(({ before }) => before),
        sae.slots(h),
      );
      const set = [sae.slots(h)[0]!, 3, 0];
      expectClose(
        answer.slots.map(({ after }) => after),
        method.startsWith('LATENT') ? set : sae.slots(values),
      );
    },
  );

  test.each(swapPlacement.options)(
    'runs the prompt once through the blocks below, and encodes it once: %s',
    async (placement) => {
      const { model, sae } = load();
      const latents = vi.spyOn(sae, 'latents');
      const slots = vi.spyOn(sae, 'slots');
      const passes = countPasses(model.weights);
      await swapConcept(
        { ...pair, model: { ...model, weights: passes.weights } },
        {
          ...CALL,
          ...{ placement, method: 'LATENT_DECODE', maxNewTokens: 1 },
        },
      );
      expect(passes.count()).toBe(1);
      expect([latents.mock.calls.length, slots.mock.calls.length]).toEqual([1, 0]);
    },
  );

  test('tells whether the model answers the prompt and that of the target right by itself', async () => {
    const { model } = load();
    const [said] = await generate(model, [model.tokenizer.encode(PROMPT)], { maxNewTokens: 2 });
    const [first, end] = said!.tokens.map(({ text }) => text.trim());
    expect(first).not.toBe(end);
    // It answers with one word, if the second one that it says ends an answer.
    const reader = promptedBy(model, { answerEnd: end! });
    const ask = (id: string, concept: number, answer: string | null): Prompt => ({
      ...{ id, prompt: PROMPT, answer, concepts: [concept], entity: 'x', template: '', split: 'TRAIN' },
    });
    const known = async (own: string | null, target: string | null, targetConcept = CALL.target) => {
      const prompts = [ask('own', 2, own), ask('target', targetConcept, target)];
      const asked = { id: 'own', prompts };
      return (await swapConcept({ ...pair, model: reader }, { ...CALL, method: 'LATENT_DECODE', asked }))
        .known;
    };
    expect(await known(first!, first!)).toBe(true);
    expect(await known('hal hal', first!)).toBe(false);
    expect(await known(first!, 'hal hal')).toBe(false);
    // Nothing is asked, or nothing about the target.
    expect(await known(first!, null)).toBeNull();
    expect(await known(first!, first!, 0)).toBeNull();
    expect((await swapConcept(pair, { ...CALL, method: 'LATENT_DECODE' })).known).toBeNull();
  });

  test('edits every token of the answer with an alpha of its own, as two edits of a generation', async () => {
    load();
    let differ = 0;
    for (const method of SWAP_METHODS) {
      const placed = { ...CALL, method, placement: 'ANSWER', alphaLater: 1 } as const;
      const { result } = await swapConcept(pair, placed);
      const swap = { ...CALL, method, armed: false };
      const edits = [
        swapEdit({ ...swap, fromStep: 0, untilStep: 0 }),
        swapEdit({ ...swap, alpha: 1, fromStep: 1, untilStep: null }),
      ];
      const given = { prompt: PROMPT, maxNewTokens: CALL.maxNewTokens, sampling: null, edits };
      const texts: string[] = [];
      for await (const item of generateLive(pair, given)) if (item.type === 'TOKEN') texts.push(item.text);
      expect(result.tokens.map(({ text }) => text)).toEqual(texts);
      const last = await swapConcept(pair, { ...CALL, method });
      if (last.result.text !== result.text) differ++;
    }
    expect(differ).toBeGreaterThan(0);
  });

  test('a step of a steered generation is encoded once', async () => {
    const { sae } = load();
    const latents = vi.spyOn(sae, 'latents');
    const slots = vi.spyOn(sae, 'slots');
    const steps = { fromStep: 0, untilStep: null };
    const edits = [
      swapEdit({ ...CALL, armed: false, method: 'LATENT_DECODE', ...steps }),
      swapEdit({ ...CALL, armed: true, method: 'DECODER_COLUMN', ...steps }),
    ];
    let made = 0;
    for await (const item of generateLive(pair, { prompt: PROMPT, maxNewTokens: 4, sampling: null, edits }))
      if (item.type === 'TOKEN') made++;
    expect(made).toBe(4);
    expect([latents.mock.calls.length, slots.mock.calls.length]).toEqual([4, 0]);
  });

  test('leaves no tensor behind, refused or not', async () => {
    load();
    const count = () => [tf.memory().numTensors, tf.engine().backend.numDataIds()];
    const run = async () => {
      for (const placement of swapPlacement.options)
        for (const method of SWAP_METHODS) await swapConcept(pair, { ...CALL, placement, method });
      const refused = swapConcept(pair, { ...CALL, source: 1, method: 'LATENT_DECODE' });
      await expect(refused).rejects.toMatchObject({ path: ['target'] });
    };
    await run();
    const before = count();
    await run();
    expect(count()).toEqual(before);
  });
});

/** Counts how often the first block is run, by the reads of one of its weights. */
function countPasses<T extends object>(weights: T): { weights: T; count(): number } {
  let reads = 0;
  const one = Object.keys(weights).find((name) => name.includes('.0.') && name.includes('attn'));
  const counted = new Proxy(weights, {
    get(target, name, receiver) {
      if (name === one) reads++;
      return Reflect.get(target, name, receiver);
    },
  });
  return { weights: counted, count: () => reads };
}

function expectClose(got: ArrayLike<number>, expected: ArrayLike<number>): void {
  expect(got.length).toBe(expected.length);
  for (let i = 0; i < got.length; i++) expect(got[i]).toBeCloseTo(expected[i]!, 4);
}
