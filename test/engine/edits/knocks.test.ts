/** Slots knocked out and in, against the same worked out prompt by prompt. */
import * as tf from '@tensorflow/tfjs-core';
import { beforeAll, describe, expect, test } from 'vitest';
import { captureResidPost } from '../../../src/engine/align/capture.ts';
import type { CapturedPrompt } from '../../../src/engine/align/captured.ts';
import type { AnswerChange } from '../../../src/engine/contract/alignment.ts';
import type { Fact } from '../../../src/engine/contract/dataset.ts';
import { logOddsOf, measureKnocks } from '../../../src/engine/edits/knocks.ts';
import { logitsFromResid, residPost } from '../../../src/engine/model/decoder.ts';
import type { LanguageModel } from '../../../src/engine/model/languageModel.ts';
import { Sae } from '../../../src/engine/sae/sae.ts';
import { loadTestBackend } from '../../helpers/engine.ts';
import { tinySae } from '../align/tinySae.ts';
import { tinyModel } from '../model/tiny.ts';

const LAYER = 1;
const breathe = async () => {};

test('log-odds are those of the softmax, and finite where a token is all but certain', () => {
  const logits = Float32Array.of(1, 2, 0.5, -1);
  const total = logits.reduce((sum, value) => sum + Math.exp(value), 0);
  const expected = [0, 1, 3].map((token) => {
    const p = Math.exp(logits[token]!) / total;
    return expect.closeTo(Math.log(p / (1 - p)), 6);
  });
  expect(logOddsOf(logits, [0, 1, null, 3, 1])).toEqual([
    expected[0],
    expected[1],
    null,
    expected[2],
    expected[1],
  ]);
  expect(logOddsOf(Float32Array.of(200, 0, 0), [0])).toEqual([200 - Math.log(2)]);
});

describe.each(['auto', 'wasm'] as const)('knocks on the %s backend', (choice) => {
  beforeAll(() => loadTestBackend(choice));

  const ASKING = ['ada', 'bo', 'cy'];
  // Guy's value for c begins as that for a does.
  const VALUES: Record<string, string[]> = { fay: ['di', 'eve', 'hal'], guy: ['eve', 'hal', 'eve di'] };
  const facts = Object.entries(VALUES).flatMap(([entity, values]) =>
    values.map((value, concept): Fact => ({ entity, concept, value })),
  );

  async function ask(model: LanguageModel): Promise<CapturedPrompt[]> {
    const asked = Object.keys(VALUES).flatMap((entity) =>
      ASKING.map((word, concept) => ({
        ...{ id: `${entity} ${concept}`, prompt: `${word} ${word} ${entity}`, entity, concepts: [concept] },
        ...{ answer: VALUES[entity]![concept]!, split: 'TEST_OOD' as const, template: '' },
      })),
    );
    const tokens = asked.map(({ prompt }) => model.tokenizer.encode(prompt));
    const h = await captureResidPost(model, tokens, { layer: LAYER });
    const { dModel } = model.config;
    return asked.map((prompt, i) => ({ ...prompt, h: h.subarray(i * dModel, (i + 1) * dModel) }));
  }

  test('are the mean changes of what the model answers', async () => {
    const model = tinyModel();
    const sae = new Sae(tinySae(LAYER));
    const prompts = await ask(model);
    const learned = prompts.map((prompt) => ({ ...prompt, split: 'TRAIN' as const }));
    const captured = { SEEN: learned, VALIDATION: [], UNSEEN: [...learned, ...prompts] };
    const knocks = await measureKnocks({ model, sae }, facts, captured, breathe);
    expect(knocks.map(({ slot, edit, split, prompts: n }) => [slot, edit, split, n])).toEqual(
      [0, 1, 2].flatMap((slot) => [
        [slot, 'KNOCK_OUT', 'TEST_OOD', 2],
        [slot, 'KNOCK_IN', 'TEST_OOD', 4],
      ]),
    );
    for (const { slot, edit, asked, others } of knocks) {
      const about = prompts.filter(({ concepts: [c] }) => (c === slot) === (edit === 'KNOCK_OUT'));
      const changeOf = (prompt: CapturedPrompt, c: number) => {
        const [token] = model.tokenizer.encode(VALUES[prompt.entity]![c]!);
        const after = oddsByHand(model, prompt, withSlot(sae, prompt.h, slot, edit === 'KNOCK_OUT' ? 0 : 1));
        return after[token!]! - oddsByHand(model, prompt, prompt.h)[token!]!;
      };
      expectMean(
        asked,
        about.map((prompt) => changeOf(prompt, prompt.concepts[0]!)),
      );
      others.forEach((other, c) => {
        const told = about.filter(({ concepts: [own], entity }) => {
          return own !== c && !(entity === 'guy' && own !== 1 && c !== 1);
        });
        expectMean(
          other,
          told.map((prompt) => changeOf(prompt, c)),
        );
      });
    }
    model.dispose();
    sae.dispose();
  });

  test('are of those whose entities have facts alone, and leave no tensors', async () => {
    const model = tinyModel();
    const sae = new Sae(tinySae(LAYER));
    const captured = { SEEN: await ask(model), VALIDATION: [], UNSEEN: [] };
    const before = tf.memory().numTensors;
    expect(await measureKnocks({ model, sae }, [], captured, breathe)).toEqual([]);
    const one = await measureKnocks({ model, sae }, facts.slice(0, 1), captured, breathe);
    expect(one.map(({ slot, edit, prompts }) => [slot, edit, prompts])).toEqual([
      [0, 'KNOCK_OUT', 1],
      [1, 'KNOCK_IN', 1],
      [2, 'KNOCK_IN', 1],
    ]);
    expect(one[0]!.others).toEqual(new Array(3).fill({ answers: 0, change: null }));
    expect(tf.memory().numTensors).toBe(before);
    model.dispose();
    sae.dispose();
  });
});

function expectMean({ answers, change }: AnswerChange, changes: number[]): void {
  expect(answers).toBe(changes.length);
  if (changes.length === 0) expect(change).toBeNull();
  else expect(change).toBeCloseTo(changes.reduce((sum, value) => sum + value, 0) / changes.length, 3);
}

/** The slot's change times its column, added to the activation. */
function withSlot(sae: Sae, h: Float32Array, concept: number, value: number): Float32Array {
  const by = (value - sae.slots(h)[concept]!) * sae.normalization.scale;
  const column = sae.columns([sae.slot(concept)]);
  return h.map((v, j) => v + by * column[j]!);
}

/** Log-odds of every next token, by one whole pass. */
function oddsByHand(
  { config, weights, tokenizer }: LanguageModel,
  { prompt }: CapturedPrompt,
  h: Float32Array,
) {
  const tokens = tokenizer.encode(prompt);
  const T = tokens.length;
  const p = tf.tidy(() => {
    const resid = residPost(config, weights, tf.tensor2d([...tokens], [1, T], 'int32'), LAYER);
    const before = tf.slice3d(resid, [0, 0, 0], [1, T - 1, config.dModel]);
    const edited = tf.concat([before, tf.tensor3d(h.slice(), [1, 1, config.dModel])], 1);
    const logits = logitsFromResid(config, weights, edited, LAYER);
    return tf.softmax(tf.slice3d(logits, [0, T - 1, 0], [1, 1, config.dVocab])).dataSync();
  });
  return Array.from(p, (share) => Math.log(share / (1 - share)));
}
