/** Live generation against a model that recomputes every prefix whole, and against `generate` and `swapConcept`. */
import * as tf from '@tensorflow/tfjs-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { captureResidPost } from '../../../src/engine/align/capture.ts';
import { type ConceptSwap, swapEdit } from '../../../src/engine/contract/edits.ts';
import type { GenerationCall, GenerationItem, TokenItem } from '../../../src/engine/contract/generation.ts';
import { applyEdits } from '../../../src/engine/edits/edit.ts';
import { slotSwap } from '../../../src/engine/edits/editors.ts';
import { generateLive } from '../../../src/engine/edits/live.ts';
import { METHODS } from '../../../src/engine/edits/methods.ts';
import { swapConcept } from '../../../src/engine/edits/swapConcept.ts';
import type { LoadedPair } from '../../../src/engine/loaded.ts';
import { disposeState, prefill } from '../../../src/engine/model/decode.ts';
import { generate } from '../../../src/engine/model/generate.ts';
import { Sae } from '../../../src/engine/sae/sae.ts';
import { loadTestBackend } from '../../helpers/engine.ts';
import { tinySae } from '../align/tinySae.ts';
import { tinyModel, tinyTokenizer } from '../model/tiny.ts';

const PROMPT = 'fay ada ada';
const LAYER = 1;
const LENGTH = 6;

type Call = Omit<GenerationCall, 'model' | 'sae' | 'edits'> & { edits: ConceptSwap[] };
const call = (more: Partial<Call> = {}): Call => ({
  ...{ prompt: PROMPT, maxNewTokens: LENGTH, sampling: null, edits: [], ...more },
});
const asked = ({ edits, ...rest }: Call) => ({ ...rest, edits: edits.map(swapEdit) });
const edit = (more: Partial<ConceptSwap> = {}): ConceptSwap => ({
  ...{ source: 0, target: 1, method: 'LATENT_DECODE', alpha: 4 },
  ...{ fromStep: 0, untilStep: null, armed: false, ...more },
});

describe.each(['auto', 'wasm'] as const)('live generation on the %s backend', (choice) => {
  let pair: LoadedPair;
  beforeAll(async () => {
    await loadTestBackend(choice);
    pair = { model: tinyModel(), sae: new Sae(tinySae(LAYER)) };
  });
  afterAll(() => {
    pair.model.dispose();
    pair.sae.dispose();
  });

  const collect = async (given: Call) => {
    const items: GenerationItem[] = [];
    for await (const item of generateLive(pair, asked(given))) items.push(item);
    return items;
  };
  const tokensOf = (items: GenerationItem[]) =>
    items.filter((item): item is TokenItem => item.type === 'TOKEN');
  const textsOf = (items: GenerationItem[]) => tokensOf(items).map(({ text }) => text);

  /** Greedy; at each step the whole sequence once more, each position edited as `editsAt` says. */
  function recompute(editsAt: (step: number, slots: Float32Array) => ConceptSwap[]) {
    const { model, sae } = pair;
    const ids = tinyTokenizer.encode(PROMPT);
    const first = ids.length - 1;
    const slots: number[][] = [];
    const { dModel } = sae.config;
    while (slots.length < LENGTH) {
      const state = prefill(model, [ids], {
        layer: LAYER,
        apply(resid) {
          const rows = resid.dataSync<'float32'>().slice();
          for (let at = first; at < ids.length; at++) {
            const h = rows.slice(at * dModel, (at + 1) * dModel);
            slots[at - first] = [...sae.slots(h)];
            const edits = editsAt(at - first, sae.slots(h));
            const edited = edits.reduce<Float32Array>((x, { source, target, alpha, method }) => {
              const swap = slotSwap(sae, { source: source!, target });
              return applyEdits(sae, x, [METHODS[method].prepare(sae, swap)(alpha)]);
            }, h);
            rows.set(edited, at * dModel);
          }
          return tf.tensor3d(rows, resid.shape);
        },
      });
      const logits = state.logits.dataSync();
      disposeState(state);
      const best = logits.indexOf(Math.max(...logits));
      if (best === tinyTokenizer.eosId) break;
      ids.push(best);
    }
    const spell = tinyTokenizer.spell();
    return { texts: ids.slice(first + 1).map((id) => spell(id)), slots };
  }

  function expectSlots(items: GenerationItem[], slots: readonly number[][]) {
    tokensOf(items).forEach((token, step) => {
      token.slots.forEach((value, slot) => {
        expect(value).toBeCloseTo(slots[step]![slot]!, 4);
      });
    });
  }

  test('without edits tells what `generate` makes, with the slots of each position', async () => {
    const items = await collect(call());
    const ids = tinyTokenizer.encode(PROMPT);
    const [expected] = await generate(pair.model, [ids], { maxNewTokens: LENGTH });
    expect(items.at(-1)).toEqual({ type: 'FINISHED', text: expected!.text, reason: expected!.reason });
    expect(tokensOf(items).map(({ index, text }) => ({ index, text }))).toEqual(
      expected!.tokens.map(({ text }, index) => ({ index, text })),
    );
    tokensOf(items).forEach(({ probability }, i) => {
      expect(probability).toBeCloseTo(expected!.tokens[i]!.probability, 4);
    });
    const all = [...ids, ...expected!.tokens.map(({ id }) => id)];
    const positions = [expected!.tokens.map((_, i) => ids.length - 1 + i)];
    const h = await captureResidPost(pair.model, [all], { layer: LAYER, positions });
    const { dModel } = pair.sae.config;
    const rows = positions[0]!.map((_, i) => [...pair.sae.slots(h.slice(i * dModel, (i + 1) * dModel))]);
    expectSlots(items, rows);
  });

  test('with an edit of step 0 alone goes on as `swapConcept` does', async () => {
    for (const method of ['LATENT_DECODE', 'LATENT_DELTA', 'DECODER_PAIR', 'MEAN_DIFFERENCE'] as const) {
      const given = { source: 2, target: 1, method, alpha: 3, armed: false };
      const swapped = await swapConcept(pair, {
        ...given,
        ...{ placement: 'LAST_TOKEN', prompt: PROMPT, maxNewTokens: LENGTH },
      });
      const items = await collect(call({ edits: [edit({ ...given, untilStep: 0 })] }));
      expect(items.at(-1)).toMatchObject({ text: swapped.result.text });
      expect(textsOf(items)).toEqual(swapped.result.tokens.map(({ text }) => text));
    }
  });

  test('makes every edit at every step of its range, one upon the other, and reads the slots before', async () => {
    const edits = [
      edit({ fromStep: 2, method: 'DECODER_COLUMN' }),
      edit({ source: 2, target: 0, alpha: 3, fromStep: 1, untilStep: 3 }),
      edit({ source: 1, target: 2, alpha: -2, method: 'LATENT_DELTA' }),
    ];
    const items = await collect(call({ edits }));
    const expected = recompute((step) =>
      edits.filter(({ fromStep, untilStep }) => step >= fromStep && step <= (untilStep ?? step)),
    );
    expect(textsOf(items)).toEqual(expected.texts);
    expectSlots(items, expected.slots);
    expect(textsOf(items)).not.toEqual(textsOf(await collect(call())));
    for (const left of edits.keys())
      expect(recompute(() => edits.filter((_, i) => i !== left)).texts).not.toEqual(expected.texts);
  });

  test('an armed edit fires only where its source is on', async () => {
    const armed = [edit({ source: 2, target: 0, armed: true })];
    const expected = recompute((_, slots) => (slots[2]! > 0.5 ? armed : []));
    const items = await collect(call({ edits: armed }));
    expect(textsOf(items)).toEqual(expected.texts);
    const on = expected.slots.map((slots) => slots[2]! > 0.5);
    expect(new Set(on)).toEqual(new Set([true, false]));
    const always = [{ ...armed[0]!, armed: false }];
    for (const edits of [always, []])
      expect(textsOf(await collect(call({ edits })))).not.toEqual(expected.texts);
  });

  test('without a source takes the strongest slot of step 0, and keeps it', async () => {
    const [first] = tokensOf(await collect(call()));
    const strongest = first!.slots.indexOf(Math.max(...first!.slots));
    const target = (strongest + 1) % 3;
    const given = { target, method: 'DECODER_PAIR' as const };
    const named = await collect(call({ edits: [edit({ ...given, source: strongest })] }));
    expect(await collect(call({ edits: [edit({ ...given, source: null })] }))).toEqual(named);
    await expect(collect(call({ edits: [edit({ source: null, target: strongest })] }))).rejects.toMatchObject(
      {
        code: 'INVALID_INPUT',
        path: ['edits', '0', 'target'],
      },
    );
  });

  test('draws as `generate` draws with the same seed', async () => {
    const sampling = { temperature: 1.5, topK: 5, seed: 3 };
    const [expected] = await generate(pair.model, [tinyTokenizer.encode(PROMPT)], {
      maxNewTokens: LENGTH,
      sampling,
    });
    expect((await collect(call({ sampling }))).at(-1)).toMatchObject({ text: expected!.text });
    const other = await collect(call({ sampling: { ...sampling, seed: 4 } }));
    expect(other.at(-1)).not.toMatchObject({ text: expected!.text });
  });

  test.each<[string, Partial<Call>, string[]]>([
    ['an empty prompt', { prompt: '' }, ['prompt']],
    ['a prompt without room for an answer', { prompt: 'ada '.repeat(12) }, ['prompt']],
    ['an unknown target', { edits: [edit(), edit({ target: 3 })] }, ['edits', '1', 'target', 'concept']],
    ['an unknown source', { edits: [edit({ source: -1 })] }, ['edits', '0', 'source', 'concept']],
    ['a swap for itself', { edits: [edit({ source: 1 })] }, ['edits', '0', 'target']],
  ])('refuses %s', async (_what, given, path) => {
    await expect(collect(call(given))).rejects.toMatchObject({ code: 'INVALID_INPUT', path });
  });

  test('leaves no tensor behind, whether it ends or its consumer leaves', async () => {
    const count = () => [tf.memory().numTensors, tf.engine().backend.numDataIds()];
    const edits = [edit(), edit({ method: 'ORTHOGONAL', fromStep: 1 })];
    await collect(call({ edits }));
    const before = count();
    await collect(call({ edits }));
    expect(count()).toEqual(before);
    for await (const item of generateLive(pair, asked(call({ edits })))) if (item.type === 'TOKEN') break;
    expect(count()).toEqual(before);
    await expect(collect(call({ edits: [edit({ source: 1 })] }))).rejects.toThrow();
    expect(count()).toEqual(before);
  });
});
