/** States that branch off one prompt, and rows of states put together, against running every row from its beginning. */
import * as tf from '@tensorflow/tfjs-core';
import { describe, expect, test } from 'vitest';
import type { ModelConfig } from '../../../src/engine/contract/model.ts';
import { runPrefixes, selectPrefixes } from '../../../src/engine/model/continue.ts';
import {
  branchTrunk,
  type DecodeState,
  decode,
  disposeState,
  disposeTrunk,
  joinStates,
  prefill,
  runTrunk,
} from '../../../src/engine/model/decode.ts';
import { createLanguageModel, initWeights } from '../../../src/engine/model/languageModel.ts';
import { rowsAtOnce, tokensAtOnce } from '../../../src/engine/model/room.ts';
import { loadTestBackend } from '../../helpers/engine.ts';
import { tinyConfig, tinyTokenizer } from './tiny.ts';

const LAYER = 1;
const PROMPT = [3, 7, 5, 9];
const GROUPED = {
  ...{ ...tinyConfig, nHeads: 4, dModel: 16 },
  decoder: {
    ...{ architecture: 'llama', norm: 'RMS', normsOutputs: false, parallel: false },
    rotary: { dims: 4, base: 10_000, scaling: null },
    attention: { nKeyValueHeads: 2, dHead: 4, cap: null, normsQueriesKeys: false, window: null },
    mlp: { activation: 'SILU', gated: true },
    biases: { queriesKeysValues: false, attentionOutput: false, mlp: false },
    ...{ embeddingScale: 1, logitCap: null, tied: true },
  },
} as const satisfies ModelConfig;

/** Adds another number to each row. */
const shift = (resid: tf.Tensor3D) =>
  tf.add(resid, tf.reshape(tf.range(0, resid.shape[0], 1, 'float32'), [-1, 1, 1])) as tf.Tensor3D;

describe.each([
  ['auto', 'GPT-2', tinyConfig],
  ['auto', 'grouped heads', GROUPED],
  ['wasm', 'GPT-2', tinyConfig],
  ['wasm', 'grouped heads', GROUPED],
] as const)('on the %s backend, %s', (choice, _name, config) => {
  test('any number of rows branch off one prompt, in parts or together, and leave no tensor behind', async () => {
    await loadTestBackend(choice);
    const model = createLanguageModel(config, initWeights(config, 0.6, 0), tinyTokenizer);
    const count = () => [tf.memory().numTensors, tf.engine().backend.numDataIds()];
    const before = count();
    const whole = prefill(model, [PROMPT, PROMPT, PROMPT], { layer: LAYER, apply: shift });
    const trunk = runTrunk(model, [PROMPT], LAYER);
    const edited = tf.tidy(() => shift(tf.tile(trunk.resid, [3, 1, 1])));
    const parts = [
      [0, 1],
      [1, 2],
    ].map(([start, size]) => {
      const resid = tf.slice3d(edited, [start!, 0, 0], [size!, -1, -1]);
      const state = branchTrunk(model, trunk, resid);
      resid.dispose();
      return state;
    });
    const joined = joinStates(parts);
    const together = branchTrunk(model, trunk, edited);
    tf.dispose(edited);
    disposeTrunk(trunk);
    for (const state of parts) disposeState(state);
    const ids = [4, 8, 6];
    const next = (state: DecodeState) => {
      const after = decode(model, state, ids);
      const values = [state, after].map(({ logits }) => [...logits.dataSync()]);
      disposeState(state);
      disposeState(after);
      return values.flat();
    };
    const expected = next(whole);
    for (const state of [joined, together])
      next(state).forEach((value, i) => {
        expect(value).toBeCloseTo(expected[i]!, 4);
      });
    expect(count()).toEqual(before);
    model.dispose();
  });

  test('what a block computes on its way is freed behind it', async () => {
    await loadTestBackend(choice);
    const model = createLanguageModel(config, initWeights(config, 0.6, 0), tinyTokenizer);
    const heldAt = (layer: number, isNext = false) => {
      let held = 0;
      const note = (resid: tf.Tensor3D) => {
        held = tf.memory().numTensors;
        return resid;
      };
      const hook = { layer, apply: note };
      const state = prefill(model, [PROMPT, PROMPT], isNext ? undefined : hook);
      if (isNext) disposeState(decode(model, state, [1, 1], hook));
      disposeState(state);
      return held;
    };
    // Two tensors hold the keys and values that later tokens need.
    expect(heldAt(1) - heldAt(0)).toBeLessThanOrEqual(2);
    // The next token's take the place of those before it.
    expect(heldAt(1, true) - heldAt(0, true)).toBeLessThanOrEqual(0);
    model.dispose();
  });

  test('prefixes that ran in parts are selected as if they had run together', async () => {
    await loadTestBackend(choice);
    const model = createLanguageModel(config, initWeights(config, 0.6, 0), tinyTokenizer);
    const prompts = [PROMPT, PROMPT.slice(1), [4, 2], [8, 8, 1, 5], [6, 1, 1]];
    const prefixes = prompts.map((prompt) => prompt.slice(0, -1));
    const before = tf.memory().numTensors;
    const states = [0, 2, 4].map((at) => prefill(model, prefixes.slice(at, at + 2)));
    const chosen = [3, 0, 4, 0];
    const own = (state: DecodeState) => {
      const last = chosen.map((prompt) => prompts[prompt]!.at(-1)!);
      const after = decode(model, state, last);
      const logits = [...after.logits.dataSync()];
      for (const one of [state, after]) disposeState(one);
      return logits;
    };
    const parts = own(selectPrefixes({ prompts, states, atOnce: 2, dispose: () => {} }, chosen));
    for (const state of states) disposeState(state);
    const whole = runPrefixes(model, prompts);
    const together = own(selectPrefixes(whole, chosen));
    whole.dispose();
    parts.forEach((value, i) => {
      expect(value).toBeCloseTo(together[i]!, 5);
    });
    expect(tf.memory().numTensors).toBe(before);
    model.dispose();
  });
});

describe('what goes through a model together', () => {
  const smol = {
    ...{ ...GROUPED, nLayers: 30, dModel: 576, nHeads: 9, dMlp: 1536, dVocab: 49_152, nCtx: 8192 },
    decoder: {
      ...GROUPED.decoder,
      attention: { ...GROUPED.decoder.attention, nKeyValueHeads: 3, dHead: 64 },
    },
  } satisfies ModelConfig;

  test('is all that is asked of a small model, and bounded by bytes of a large one', () => {
    expect(rowsAtOnce(tinyConfig, 32, 512)).toBe(512);
    const rows = rowsAtOnce(smol, 26, 512);
    const bytes = 4 * (2 * 3 * 64 * 30 * 26 + 2 * 49_152) * rows;
    expect(bytes).toBeLessThanOrEqual(2 ** 27);
    expect(bytes).toBeGreaterThan(2 ** 26);
    expect(rowsAtOnce(smol, 8192, 512)).toBe(16);
    expect(tokensAtOnce(smol) * 4 * (10 * 576 + 5 * 1536)).toBeLessThanOrEqual(2 ** 26);
  });
});
