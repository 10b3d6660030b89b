/** Edits of any latent and direction against formulas in plain loops, and batches against one at a time. */
import * as tf from '@tensorflow/tfjs-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { captureResidPost } from '../../../src/engine/align/capture.ts';
import type { EditAction, SteerCall, SteeringEdit } from '../../../src/engine/contract/edits.ts';
import { SWAP_METHODS } from '../../../src/engine/contract/swap.ts';
import { generateLive } from '../../../src/engine/edits/live.ts';
import { steer } from '../../../src/engine/edits/steer.ts';
import { swapConcept } from '../../../src/engine/edits/swapConcept.ts';
import type { LoadedPair } from '../../../src/engine/loaded.ts';
import { disposeState, prefill } from '../../../src/engine/model/decode.ts';
import { generate } from '../../../src/engine/model/generate.ts';
import { Sae } from '../../../src/engine/sae/sae.ts';
import { loadTestBackend } from '../../helpers/engine.ts';
import { tinySae } from '../align/tinySae.ts';
import { tinyModel, tinyTokenizer } from '../model/tiny.ts';

const PROMPT = 'fay ada ada bo';
const LAYER = 1;
const LENGTH = 6;
const D = 8;
const VECTOR = Float32Array.from({ length: D }, (_, j) => Math.cos(3 * j));

type Call = Omit<SteerCall, 'model' | 'sae'>;
const call = (edits: SteeringEdit[], alphas = [1]): Call => ({
  ...{ prompt: PROMPT, maxNewTokens: LENGTH, edits, alphas },
});
const edit = ({
  place,
  ...more
}: Partial<Omit<SteeringEdit, 'place'>> & { place?: Partial<SteeringEdit['place']> } = {}): SteeringEdit => ({
  ...{ target: { latent: 1 }, action: 'SET', strength: 4, source: null, method: 'LATENT_DECODE' },
  ...{ keepsError: true, relative: false, ...more },
  place: {
    ...{ positions: 'ANSWER', tokens: null, fromStep: null, untilStep: null, armed: null, ...place },
  },
});

/** What an action does to one activation, from the formulas in `EditAction`. */
function formula(sae: Sae, h: Float32Array, given: SteeringEdit, alpha: number): Float32Array {
  const { action, target, keepsError, relative } = given;
  const s = given.strength * alpha;
  const length = (v: Float32Array) => Math.hypot(...v);
  if ('vector' in target) {
    const axis = target.vector.map((x) => x / length(target.vector));
    const along = h.reduce((sum, x, j) => sum + x * axis[j]!, 0);
    const component = { SET: s, SCALE: s * along, ABLATE: (1 - s) * along }[action as 'SET'];
    if (action !== 'ADD') return h.map((x, j) => x + (component - along) * axis[j]!);
    return h.map((x, j) => x + (relative ? s * length(h) * axis[j]! : s * target.vector[j]!));
  }
  const latent = 'latent' in target ? target.latent : sae.slot(target.concept);
  const z = sae.latents(h);
  const column = sae.columns([latent]).map((x) => x * sae.normalization.scale);
  if (action === 'ADD') {
    const times = relative ? (s * length(h)) / length(column) : s;
    return h.map((x, j) => x + times * column[j]!);
  }
  const becomes = { SET: s, SCALE: s * z[latent]!, ABLATE: (1 - s) * z[latent]! }[action as 'SET'];
  const base = keepsError ? h : sae.decode(z);
  return base.map((x, j) => x + (becomes - z[latent]!) * column[j]!);
}

describe.each(['auto', 'wasm'] as const)('steering on the %s backend', (choice) => {
  let pair: LoadedPair;
  beforeAll(async () => {
    await loadTestBackend(choice);
    pair = { model: tinyModel(), sae: new Sae(tinySae(LAYER)) };
  });
  afterAll(() => {
    pair.model.dispose();
    pair.sae.dispose();
  });

  /** Greedy; at each step the whole sequence once more, edited as `editsAt` says of a step and the latents before. */
  function recompute(alpha: number, editsAt: (step: number, z: Float32Array) => SteeringEdit[]) {
    const { model, sae } = pair;
    const ids = tinyTokenizer.encode(PROMPT);
    const first = ids.length - 1;
    while (ids.length - first <= LENGTH) {
      const state = prefill(model, [ids], {
        layer: LAYER,
        apply(resid) {
          const rows = resid.dataSync<'float32'>().slice();
          for (let at = 0; at < ids.length; at++) {
            const h = rows.slice(at * D, (at + 1) * D);
            const edits = editsAt(at - first, sae.latents(h));
            rows.set(
              edits.reduce<Float32Array>((x, each) => formula(sae, x, each, alpha), h),
              at * D,
            );
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
    return tinyTokenizer.decode(ids.slice(first + 1));
  }

  const steered = async (edits: SteeringEdit[], alphas = [1]) => {
    const { results } = await steer(pair, call(edits, alphas));
    return results.map(({ text }) => text);
  };

  const ACTIONS: [EditAction, number][] = [
    ['SET', 6],
    ['SCALE', -9],
    ['ADD', 5],
    ['ABLATE', 7],
  ];
  test.each(ACTIONS)(
    '%s does what it says, to slots, free latents and directions',
    async (action, strength) => {
      const baseline = recompute(1, () => []);
      const seen = new Set<string>();
      for (const target of [{ concept: 2 }, { latent: 1 }, { latent: 3 }, { vector: VECTOR }])
        for (const flag of [true, false]) {
          const given = edit({ action, strength, target, keepsError: flag, relative: flag });
          const expected = recompute(1, (step) => (step >= 0 ? [given] : []));
          expect(await steered([given])).toEqual([expected]);
          seen.add(expected);
        }
      seen.delete(baseline);
      expect(seen.size).toBeGreaterThan(1);
    },
  );

  const PLACES: [string, Partial<SteeringEdit['place']>, (step: number) => boolean][] = [
    ['the last token', { positions: 'LAST_TOKEN' }, (step) => step === 0],
    ['the answer', { positions: 'ANSWER' }, (step) => step >= 0],
    ['all positions', { positions: 'ALL' }, () => true],
    ['all until a step', { positions: 'ALL', untilStep: 0 }, (step) => step <= 0],
    ['some steps', { positions: 'ANSWER', fromStep: 1, untilStep: 2 }, (step) => step === 1 || step === 2],
    ['named tokens', { tokens: [0, 2] }, (step) => step === -3 || step === -1],
  ];
  test.each(PLACES)('stands at %s and nowhere else', async (_where, place, covers) => {
    for (const given of [
      edit({ place, strength: 7 }),
      edit({ place, target: { vector: VECTOR }, action: 'ADD', strength: -3 }),
    ]) {
      const expected = recompute(1, (step) => (covers(step) ? [given] : []));
      expect(await steered([given])).toEqual([expected]);
    }
  });

  test('named tokens and all positions reach what the model makes of the prompt', async () => {
    for (const place of [{ tokens: [0, 2] }, { positions: 'ALL' as const, untilStep: -1 }]) {
      const { baseline, results } = await steer(pair, call([edit({ place, strength: 30 })]));
      const [plain, edited] = [baseline, results[0]!].map(({ tokens }) => tokens[0]!.probability);
      expect(Math.abs(plain! - edited!)).toBeGreaterThan(1e-3);
    }
  });

  test('an armed edit fires where its trigger is above the threshold before any edit', async () => {
    const threshold = 0.2;
    const armed = { target: { latent: 2 }, above: threshold };
    const edits = [
      edit({ target: { latent: 2 }, strength: 0, place: { positions: 'ALL' } }),
      edit({ target: { concept: 1 }, strength: 9, place: { positions: 'ALL', armed } }),
    ];
    const fired: boolean[] = [];
    const expected = recompute(1, (_step, z) => {
      fired.push(z[2]! > threshold);
      return z[2]! > threshold ? edits : [edits[0]!];
    });
    expect(new Set(fired)).toEqual(new Set([true, false]));
    expect(await steered(edits)).toEqual([expected]);
  });

  test('an armed edit never fires at a sink, whatever it is told', async () => {
    const { model } = pair;
    const ids = tinyTokenizer.encode(PROMPT);
    const h = await captureResidPost(model, [ids], { layer: LAYER, positions: [ids.map((_, i) => i)] });
    const norms = ids.map((_, i) => Math.hypot(...h.subarray(i * D, (i + 1) * D)));
    const [longest, second] = [...norms].sort((a, b) => b - a) as [number, number];
    const sae = new Sae({ ...tinySae(LAYER), sinkNorm: (longest + second) / 2 });
    const place = (more: object) => ({ positions: 'ALL' as const, untilStep: 0, ...more });
    const armed = { target: { latent: 0 }, above: -1e6 };
    const given = { action: 'ADD', target: { vector: VECTOR }, strength: 20 } as const;
    const probabilityOf = async (edits: SteeringEdit[]) =>
      (await steer({ ...pair, sae }, call(edits))).results[0]!.tokens[0]?.probability;
    const others = norms.flatMap((norm, token) => (norm === longest ? [] : [token]));
    const fired = await probabilityOf([edit({ ...given, place: place({ armed }) })]);
    expect(fired).toBeCloseTo((await probabilityOf([edit({ ...given, place: { tokens: others } })]))!, 5);
    expect(fired).not.toBeCloseTo((await probabilityOf([edit({ ...given, place: place({}) })]))!, 5);
    sae.dispose();
  });

  test('several edits, each at its place, one upon the other; alphas in a batch as one by one', async () => {
    const edits = [
      edit({ action: 'ADD', target: { vector: VECTOR }, strength: 2, place: { positions: 'ALL' } }),
      edit({ action: 'SCALE', target: { concept: 0 }, strength: -3, place: { tokens: [1, 3] } }),
      edit({ target: { latent: 0 }, keepsError: false, place: { fromStep: 1 } }),
    ];
    const covers = [() => true, (step: number) => step === -2 || step === 0, (step: number) => step >= 1];
    const alphas = [0, 0.5, 1, -2, 6];
    const together = await steer(pair, call(edits, alphas));
    expect(together.baseline.text).toBe(recompute(1, () => []));
    for (const [i, alpha] of alphas.entries()) {
      const alone = await steer(pair, call(edits, [alpha]));
      expect(together.results[i]!.text).toBe(alone.results[0]!.text);
      expect(together.results[i]!.text).toBe(
        recompute(alpha, (step) => edits.filter((_, e) => covers[e]!(step))),
      );
      together.results[i]!.tokens.forEach(({ probability }, t) => {
        expect(probability).toBeCloseTo(alone.results[0]!.tokens[t]!.probability, 4);
      });
    }
    expect(new Set(together.results.map(({ text }) => text)).size).toBeGreaterThan(2);
  });

  test.each(SWAP_METHODS)('a swap by %s of two slots at the last token is `swapConcept`', async (method) => {
    for (const armed of [false, true]) {
      const placement = armed ? ('ARMED' as const) : ('LAST_TOKEN' as const);
      const given = { source: 2, target: 1, method, alpha: 3, placement };
      const swapped = await swapConcept(pair, { ...given, prompt: PROMPT, maxNewTokens: LENGTH });
      const place = armed
        ? { positions: 'ALL' as const, armed: { target: null, above: 0.5 } }
        : { positions: 'LAST_TOKEN' as const };
      const swap = edit({
        ...{ action: 'SWAP', source: { concept: 2 }, target: { latent: 5 } },
        ...{ method, strength: 3, place },
      });
      const { baseline, results } = await steer(pair, call([swap]));
      expect(baseline.text).toBe(swapped.baseline.text);
      expect(results[0]!.text).toBe(swapped.result.text);
      expect(results[0]!.tokens.map(({ text }) => text)).toEqual(
        swapped.result.tokens.map(({ text }) => text),
      );
    }
  });

  test('a slot that is set and decoded with the source at 0 is a swap', async () => {
    const place = { positions: 'LAST_TOKEN' as const };
    const swapped = await swapConcept(pair, {
      ...{ source: 2, target: 1, method: 'LATENT_DELTA', alpha: 3, placement: 'LAST_TOKEN' },
      ...{ prompt: PROMPT, maxNewTokens: LENGTH },
    });
    const off = edit({ target: { concept: 2 }, action: 'ABLATE', strength: 1, place });
    // Alone each changes its own latent by what the activation held; together they are the swap only where the second
    // counts from the activation that the first left, so it is added.
    const [held] = swapped.slots.filter(({ concept }) => concept === 1);
    const on = edit({ target: { concept: 1 }, action: 'ADD', strength: 3 - held!.before, place });
    expect(await steered([off, on])).toEqual([swapped.result.text]);
  });

  test('a direction stands for a column in the methods that add one', async () => {
    const { sae } = pair;
    const place = { positions: 'LAST_TOKEN' as const };
    for (const method of ['DECODER_COLUMN', 'DECODER_PAIR'] as const) {
      const common = { action: 'SWAP', method, strength: 2, place } as const;
      const byLatent = await steered([edit({ ...common, source: { latent: 0 }, target: { latent: 1 } })]);
      const vector = sae.columns([1]).map((value) => 5 * value);
      const byVector = await steered([edit({ ...common, source: { latent: 0 }, target: { vector } })]);
      expect(byVector).toEqual(byLatent);
    }
  });

  test('live generation makes the same edits', async () => {
    const edits = [
      edit({ action: 'ADD', target: { vector: VECTOR }, strength: 2, place: { positions: 'ALL' } }),
      edit({
        target: { latent: 0 },
        strength: 9,
        place: { fromStep: 1, armed: { target: { latent: 1 }, above: 0 } },
      }),
    ];
    const items = [];
    const given = { prompt: PROMPT, maxNewTokens: LENGTH, sampling: null, edits };
    for await (const item of generateLive(pair, given)) items.push(item);
    expect([(items.at(-1) as { text: string }).text]).toEqual(await steered(edits));
  });

  test('the baseline and rows of alpha 0 that add nothing are what `generate` makes', async () => {
    const [expected] = await generate(pair.model, [tinyTokenizer.encode(PROMPT)], { maxNewTokens: LENGTH });
    const { baseline, results } = await steer(pair, call([edit({ action: 'ADD', strength: 9 })], [0, 1]));
    expect(baseline.text).toBe(expected!.text);
    expect(results[0]!.text).toBe(expected!.text);
    expect(results[1]!.text).not.toBe(expected!.text);
  });

  test('a prompt of one token and one that leaves room for a single token work', async () => {
    for (const prompt of ['fay', 'ada '.repeat(11).trim()]) {
      const { results } = await steer(pair, { ...call([edit()]), prompt });
      expect(results[0]!.tokens.length).toBeLessThanOrEqual(prompt === 'fay' ? LENGTH : 1);
    }
  });

  const armedBy = (target: NonNullable<SteeringEdit['place']['armed']>['target']) => ({
    place: { armed: { target, above: 0 } },
  });
  test.each<[string, SteeringEdit, string]>([
    ['a latent that does not exist', edit({ target: { latent: 7 } }), 'target.latent'],
    ['a slot that does not exist', edit({ target: { concept: 3 } }), 'target.concept'],
    ['a direction of another width', edit({ target: { vector: VECTOR.slice(1) } }), 'target.vector'],
    ['a direction of length 0', edit({ target: { vector: new Float32Array(D) } }), 'target.vector'],
    ['NaN in a direction', edit({ target: { vector: VECTOR.with(3, Number.NaN) } }), 'target.vector.3'],
    ['infinity in a direction', edit({ target: { vector: VECTOR.with(2, 1e39) } }), 'target.vector.2'],
    ['a source that does not exist', edit({ action: 'SWAP', source: { latent: -1 } }), 'source.latent'],
    ['a swap for itself', edit({ action: 'SWAP', source: { concept: 0 }, target: { latent: 4 } }), 'target'],
    [
      'a mean difference of free latents',
      edit({ action: 'SWAP', method: 'MEAN_DIFFERENCE', source: { latent: 0 } }),
      'method',
    ],
    [
      'a direction that would be set and decoded',
      edit({ action: 'SWAP', target: { vector: VECTOR }, source: { latent: 0 } }),
      'method',
    ],
    ['a token beyond the prompt', edit({ place: { tokens: [0, 4] } }), 'place.tokens.1'],
    ['a trigger that does not exist', edit(armedBy({ latent: 9 })), 'place.armed.latent'],
    ['no trigger', edit(armedBy(null)), 'place.armed'],
    ['more than an activation holds', edit({ action: 'ADD', strength: 1e17 }), 'strength'],
  ])('refuses %s', async (_what, given, path) => {
    const refused = expect(steer(pair, call([edit(), given]))).rejects;
    await refused.toMatchObject({ code: 'INVALID_INPUT', path: ['edits', '1', ...path.split('.')] });
  });

  test('refuses more rows than fit, a swap without slots, and leaves no tensor behind', async () => {
    const count = () => [tf.memory().numTensors, tf.engine().backend.numDataIds()];
    const edits = [edit({ place: { positions: 'ALL' } }), edit({ action: 'SWAP', target: { latent: 0 } })];
    await steer(pair, call(edits, [1, 2]));
    const before = count();
    await steer(pair, call(edits, [1, 2]));
    await steer(pair, call([edit()], [1, 2]));
    const many = Array.from({ length: 2000 }, () => 1);
    await expect(steer(pair, call(edits, many))).rejects.toMatchObject({ path: ['alphas'] });
    // A model whose weights only say that they are many.
    const heavy = { ...pair.model, weights: { ...pair.model.weights, heavy: { size: 2e10 } as tf.Tensor } };
    const slow = steer({ ...pair, model: heavy }, call(edits, [1]));
    await expect(slow).rejects.toMatchObject({ path: ['maxNewTokens'] });
    await expect(slow).rejects.toThrow(/at most 4 with 1 alphas/);
    await expect(steer(pair, call([edit({ action: 'ADD', strength: 1e17 })]))).rejects.toThrow();
    await expect(
      steer(pair, call([edit({ action: 'ADD', strength: 1e17, place: { positions: 'ALL' } })])),
    ).rejects.toThrow();
    expect(count()).toEqual(before);
    const bare = new Sae(tinySae(LAYER, { slots: false }));
    const swap = steer({ ...pair, sae: bare }, call([edit({ action: 'SWAP' })]));
    await expect(swap).rejects.toMatchObject({ path: ['edits', '0', 'source'] });
    const slot = steer({ ...pair, sae: bare }, call([edit({ target: { concept: 0 } })]));
    await expect(slot).rejects.toMatchObject({ path: ['edits', '0', 'target', 'concept'] });
    bare.dispose();
  });
});
