/** The controls that put other activations in, against the same done slowly. */
import * as tf from '@tensorflow/tfjs-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { captureResidPost } from '../../../src/engine/align/capture.ts';
import type { CapturedPrompt } from '../../../src/engine/align/captured.ts';
import type { Prompt } from '../../../src/engine/contract/dataset.ts';
import { askTrials } from '../../../src/engine/edits/answers.ts';
import { continuePatched } from '../../../src/engine/edits/patched.ts';
import { REPLACED, type ReplacedTrials } from '../../../src/engine/edits/replacements.ts';
import { fitSums } from '../../../src/engine/edits/sums.ts';
import { indexTargetPrompts } from '../../../src/engine/edits/targetPrompts.ts';
import { disposeState, prefill } from '../../../src/engine/model/decode.ts';
import { generate } from '../../../src/engine/model/generate.ts';
import type { LanguageModel } from '../../../src/engine/model/languageModel.ts';
import { createRandom } from '../../../src/random.ts';
import { loadTestBackend } from '../../helpers/engine.ts';
import { tinyModel, tinyPrompts } from '../model/tiny.ts';

const LIMIT = 4;
const breathe = async () => {};

let model: LanguageModel;
beforeAll(async () => {
  await loadTestBackend();
  model = tinyModel();
});
afterAll(() => model.dispose());

/** Each prompt with the one after it as its target; lengths differ. */
const pairs = () => {
  const all = tinyPrompts(9, 5);
  return all.slice(1).map((tokens, i) => ({ tokens, target: all[i]!, limit: LIMIT }));
};

describe('the true activation', () => {
  test.each([
    [1, false],
    [1, true],
    [-1, true],
  ])('of layer %i, later tokens too: %s, is what the target holds, token by token', async (layer, later) => {
    const before = tf.memory().numTensors;
    const made = await continuePatched(model, pairs(), { layer, later, subspace: null }, breathe);
    expect(tf.memory().numTensors).toBe(before);
    for (const [i, { tokens, target }] of pairs().entries())
      expect(made[i]).toEqual(await continueSlowly(tokens, target, layer, later));
    const plain = await generate(
      model,
      pairs().map(({ tokens }) => tokens),
      { maxNewTokens: LIMIT },
    );
    expect(made).not.toEqual(plain.map(({ tokens }) => tokens.map(({ id }) => id)));
  });

  test('above the last block makes the model answer as the target’s prompt does', async () => {
    const made = await continuePatched(
      model,
      pairs(),
      { layer: model.config.nLayers - 1, later: true, subspace: null },
      breathe,
    );
    const targets = pairs().map(({ target }) => target);
    const own = await generate(model, targets, { maxNewTokens: LIMIT });
    expect(made).toEqual(own.map(({ tokens }) => tokens.map(({ id }) => id)));
  });

  /** Every token by a run of the whole sequence, with what a run of the whole target holds put in. */
  async function continueSlowly(tokens: number[], target: number[], layer: number, later: boolean) {
    const made: number[] = [];
    while (made.length < LIMIT) {
      const steps = later ? [...made.keys()].map((step) => step + 1) : [];
      const held = await captureResidPost(model, [[...target, ...made]], {
        layer,
        positions: [[0, ...steps].map((step) => target.length - 1 + step)],
      });
      const { dModel } = model.config;
      const state = prefill(model, [[...tokens, ...made]], {
        layer,
        apply(resid) {
          const h = resid.dataSync<'float32'>().slice();
          [0, ...steps].forEach((step, i) => {
            h.set(held.subarray(i * dModel, (i + 1) * dModel), (tokens.length - 1 + step) * dModel);
          });
          return tf.tensor3d(h, resid.shape);
        },
      });
      const next = state.logits.argMax(1).dataSync()[0]!;
      disposeState(state);
      if (next === model.tokenizer.eosId) break;
      made.push(next);
    }
    return made;
  }
});

describe('the sum', () => {
  const random = createRandom(0, 'sums');
  const draw = (count: number) =>
    Array.from({ length: count }, () => Float32Array.from({ length: 8 }, () => random.normal()));
  const effects = draw(3);
  const entities = draw(5);
  const promptOf = (entity: number, concept: number): CapturedPrompt => ({
    ...{ id: `${entity} ${concept}`, prompt: 'ada', answer: 'bo', template: 't', split: 'TRAIN' },
    ...{ entity: String(entity), concepts: [concept] },
    h: entities[entity]!.map((value, j) => value + effects[concept]![j]!),
  });
  const ASKED = [
    [0, 0],
    [0, 0],
    [0, 1],
    [1, 1],
    [1, 2],
    [2, 0],
    [2, 2],
    [3, 0],
    [3, 1],
    [3, 1],
  ] as const;
  const learned = ASKED.map(([entity, concept]) => promptOf(entity, concept));

  test('is exact where activations are one, also of entities that it was not fitted on', () => {
    const sums = fitSums(learned, [...learned, promptOf(4, 2)], 3);
    for (const entity of [0, 1, 2, 3, 4])
      for (const concept of [0, 1, 2])
        expectClose(sums.sum(String(entity), concept)!, promptOf(entity, concept).h);
    const change = sums.effect(2).map((value, j) => value - sums.effect(0)[j]!);
    expectClose(
      change,
      effects[2]!.map((value, j) => value - effects[0]![j]!),
    );
    expect(sums.sum('nobody', 0)).toBeNull();
  });

  test('stands at the last prompt token, and its change is added to what follows', async () => {
    const layer = 1;
    const sums = fitSums(learned, learned, 3);
    const tokens = tinyPrompts(4, 5);
    const trials = tokens.map((own) => ({
      tokens: own,
      h: new Float32Array(8),
      pair: 0,
      expected: ['ada bo cy'],
    }));
    const known = ['0', '2', 'nobody', '3'].map((entity) => ({
      entity,
      source: 0,
      target: 1,
      targetTokens: null,
    }));
    const asked = askTrials(model, layer, trials);
    const given: ReplacedTrials = { asked, trials: known, sums };
    for (const placement of ['LAST_TOKEN', 'ANSWER'] as const) {
      const answers = await REPLACED.SUM(given, placement, breathe);
      for (const [i, { entity }] of known.entries()) {
        const value = sums.sum(entity, 1);
        const expected = value && (await answerSlowly(tokens[i]!, value, placement === 'ANSWER'));
        expect(answers[i]).toBe(expected);
      }
    }
    asked.dispose();

    async function answerSlowly(own: number[], value: Float32Array, later: boolean): Promise<string> {
      const change = sums.effect(1).map((effect, j) => effect - sums.effect(0)[j]!);
      const made: number[] = [];
      while (made.length < 4) {
        const state = prefill(model, [[...own, ...made]], {
          layer,
          apply(resid) {
            const h = resid.dataSync<'float32'>().slice();
            h.set(value, (own.length - 1) * 8);
            if (later) for (let at = own.length * 8; at < h.length; at++) h[at]! += change[at % 8]!;
            return tf.tensor3d(h, resid.shape);
          },
        });
        const next = state.logits.argMax(1).dataSync()[0]!;
        disposeState(state);
        if (next === model.tokenizer.eosId) break;
        made.push(next);
      }
      return model.tokenizer.decode(made).trim();
    }
  });
});

test('the target’s prompt is the same phrasing about the target', () => {
  const prompts = ['a', 'b'].flatMap((entity) =>
    [0, 1].flatMap((concept) =>
      (['TRAIN', 'TRAIN', 'TEST_OOD'] as const).map(
        (split, i): Prompt => ({
          ...{ id: `${entity}${concept}${i}`, prompt: '', answer: '', template: '', split, entity },
          concepts: [concept],
        }),
      ),
    ),
  );
  const targetOf = indexTargetPrompts(prompts);
  const target = (id: string, concept: number) =>
    targetOf(prompts.find((prompt) => prompt.id === id)!, concept)?.id;
  expect([target('a01', 1), target('b12', 0), target('a00', 1), target('a00', 2)]).toEqual([
    ...['a11', 'b02', 'a10', undefined],
  ]);
});

function expectClose(got: Float32Array, expected: Float32Array): void {
  expect(got).toHaveLength(expected.length);
  got.forEach((value, i) => {
    expect(value).toBeCloseTo(expected[i]!, 4);
  });
}
