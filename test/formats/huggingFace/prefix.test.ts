/** Prompts behind a prefix that was run once, against prefix and prompt as one sequence, in every architecture. */
import { readdirSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as tf from '@tensorflow/tfjs-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { captureResidPost } from '../../../src/engine/align/capture.ts';
import { continueBranches, runPrefixes } from '../../../src/engine/model/continue.ts';
import {
  branchTrunk,
  disposeState,
  disposeTrunk,
  prefill,
  runTrunk,
} from '../../../src/engine/model/decode.ts';
import { logitsFromResid, residPost } from '../../../src/engine/model/decoder.ts';
import { generate } from '../../../src/engine/model/generate.ts';
import { type LanguageModel, prefixOf } from '../../../src/engine/model/languageModel.ts';
import { promptedBy } from '../../../src/engine/model/prompting.ts';
import { loadTestBackend } from '../../helpers/engine.ts';
import { ARCHITECTURES, expectedCases, loadInto, relativeError } from './fixtures.ts';

const TOLERANCE = 2e-5;
const NAMES = readdirSync(ARCHITECTURES).filter((name) => !name.includes('.'));
const breathe = async () => undefined;

let dir: string;
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'alignsae-prefix-'));
});
afterAll(() => rm(dir, { recursive: true }));

/** The model alone and behind the longest text, with shorter ones as prompts. */
async function open(name: string) {
  const directory = join(ARCHITECTURES, name);
  const cases = await expectedCases(directory);
  const model = await loadInto(join(dir, name), directory);
  const texts = cases.sort((a, b) => a.tokens.length - b.tokens.length);
  const { text: prefix, tokens: before } = texts.at(-1)!;
  const prompts = texts.slice(0, -1).map(({ tokens }) => tokens.slice(0, 9));
  const whole = prompts.map((tokens) => [...before, ...tokens]);
  return { model, behind: promptedBy(model, { prefix }), prefix, before, prompts, whole };
}

const idsOf = (made: Awaited<ReturnType<typeof generate>>) =>
  made.map(({ tokens }) => tokens.map(({ id }) => id));
const logitsOf = (model: LanguageModel, prompts: number[][]) => {
  const state = prefill(model, prompts);
  const values = Array.from(state.logits.dataSync());
  disposeState(state);
  return values;
};

describe.each(['auto', 'wasm'] as const)('on the %s backend', (backend) => {
  beforeAll(() => loadTestBackend(backend));

  test.each(NAMES)('%s reads the same behind a prefix that was run once', async (name) => {
    const { model, behind, before, prompts, whole } = await open(name);
    const held = tf.memory().numTensors;
    const near = (found: ArrayLike<number>, expected: ArrayLike<number>) =>
      expect(relativeError(Array.from(found), Array.from(expected))).toBeLessThan(TOLERANCE);
    const positions = prompts.map((tokens) => tokens.map((_, i) => i));
    const later = positions.map((own) => own.map((i) => before.length + i));
    for (const layer of [-1, 0, model.config.nLayers - 1])
      near(
        await captureResidPost(behind, prompts, { layer, positions }),
        await captureResidPost(model, whole, { layer, positions: later }),
      );
    near(logitsOf(behind, prompts), logitsOf(model, whole));
    const maxNewTokens = 12;
    const greedy = idsOf(await generate(model, whole, { maxNewTokens }));
    expect(idsOf(await generate(behind, prompts, { maxNewTokens }))).toEqual(greedy);
    const started = runPrefixes(behind, prompts);
    const branches = [...prompts, ...prompts].map((_, i) => ({
      prompt: i % prompts.length,
      limit: maxNewTokens,
    }));
    const made = await continueBranches(behind, started, branches, () => undefined, breathe);
    expect(made).toEqual([...greedy, ...greedy]);
    started.dispose();
    const trunk = runTrunk(behind, prompts, 0);
    const state = branchTrunk(behind, trunk, trunk.resid);
    near(state.logits.dataSync(), logitsOf(model, whole));
    disposeTrunk(trunk);
    disposeState(state);
    const one = prompts.at(-1)!;
    const allLogits = (reader: LanguageModel, tokens: number[]) =>
      tf.tidy(() => {
        const { config, weights } = reader;
        const resid = residPost(
          config,
          weights,
          tf.tensor2d([tokens], undefined, 'int32'),
          0,
          prefixOf(reader),
        );
        return logitsFromResid(config, weights, resid, 0, prefixOf(reader)).dataSync();
      });
    near(
      allLogits(behind, one),
      allLogits(model, [...before, ...one]).slice(-one.length * model.config.dVocab),
    );
    expect(tf.memory().numTensors).toBe(held);
    model.dispose();
  });
});

describe('a prefix', () => {
  beforeAll(() => loadTestBackend());

  test('is run once for a loaded model, and few are kept', async () => {
    const { model, behind, prefix } = await open('llama');
    const weights = Object.keys(model.weights).length;
    const held = tf.memory().numTensors;
    expect(prefixOf(promptedBy(model, { prefix }))).toBe(prefixOf(behind));
    for (const text of ['a', 'b', 'c', 'd', 'e', 'f']) promptedBy(model, { prefix: text });
    expect(model.prefixes.size).toBe(4);
    expect(tf.memory().numTensors - held).toBe(3 * 2 * model.config.nLayers);
    model.dispose();
    expect(tf.memory().numTensors).toBe(held - 2 * model.config.nLayers - weights);
  });

  test('counts in the context, and is refused where it leaves no room', async () => {
    const { model, behind, before } = await open('llama');
    const room = model.config.nCtx - before.length;
    expect(behind.config.nCtx).toBe(room);
    const token = before[0]!;
    await expect(captureResidPost(behind, [Array(room + 1).fill(token)], { layer: 0 })).rejects.toMatchObject(
      {
        code: 'INVALID_INPUT',
        message: `prompt 0 has ${room + 1} tokens; the model reads 1 to ${room} behind the dataset's prefix of ${before.length} tokens`,
      },
    );
    const full = await generate(behind, [Array(room - 2).fill(token)], { maxNewTokens: 9 });
    expect(full[0]!.tokens.length).toBeLessThanOrEqual(2);
    const text = 'word '.repeat(model.config.nCtx);
    expect(() => promptedBy(model, { prefix: text })).toThrow(/the prefix has \d+ tokens; the model reads/);
    model.dispose();
  });
});
