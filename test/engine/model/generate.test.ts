import * as tf from '@tensorflow/tfjs-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { captureResidPost } from '../../../src/engine/align/capture.ts';
import { type GenerateOptions, type Generation, generate } from '../../../src/engine/model/generate.ts';
import type { LanguageModel } from '../../../src/engine/model/languageModel.ts';
import { loadTestBackend } from '../../helpers/engine.ts';
import { referenceForward, softmax } from './reference.ts';
import { tinyConfig, tinyModel, tinyPrompts, tinyTokenizer, tinyWeights } from './tiny.ts';

let model: LanguageModel;
beforeAll(async () => {
  await loadTestBackend();
  model = tinyModel();
});
afterAll(() => model.dispose());

const prompts = tinyPrompts(20);
const ids = ({ tokens }: Generation) => tokens.map(({ id }) => id);

/** Greedy decoding that recomputes everything for every token. */
function referenceGreedy(prompt: readonly number[], maxNewTokens: number) {
  const tokens = [...prompt];
  const probabilities: number[] = [];
  while (probabilities.length < Math.min(maxNewTokens, tinyConfig.nCtx - prompt.length)) {
    const shares = softmax(referenceForward(tinyConfig, tinyWeights(), tokens).logits.at(-1)!);
    const best = shares.indexOf(Math.max(...shares));
    if (best === tinyTokenizer.eosId) break;
    tokens.push(best);
    probabilities.push(shares[best]!);
  }
  return { ids: tokens.slice(prompt.length), probabilities };
}

describe('greedy generation', () => {
  test('with its cache and in a batch equals recomputing every prefix of every prompt alone', async () => {
    const generations = await generate(model, prompts, { maxNewTokens: 6 });
    for (const [i, generation] of generations.entries()) {
      const expected = referenceGreedy(prompts[i]!, 6);
      expect(ids(generation)).toEqual(expected.ids);
      for (const [k, { probability }] of generation.tokens.entries()) {
        expect(probability).toBeCloseTo(expected.probabilities[k]!, 4);
      }
      expect(generation.text).toBe(tinyTokenizer.decode(expected.ids));
      expect(generation.reason).toBe(expected.ids.length < 6 && roomLeft(i, generation) ? 'EOS' : 'LENGTH');
    }
    expect(new Set(generations.map(({ reason }) => reason))).toEqual(new Set(['EOS', 'LENGTH']));
  });

  const roomLeft = (i: number, { tokens }: Generation) =>
    prompts[i]!.length + tokens.length < tinyConfig.nCtx;

  test('stops at the end of the context', async () => {
    const full = Array<number>(tinyConfig.nCtx - 2).fill(5);
    const [generation] = await generate(model, [full], { maxNewTokens: 50 });
    expect(generation!.tokens.length).toBeLessThanOrEqual(2);
  });
});

describe('sampled generation', () => {
  const sampling = { temperature: 1.3, topK: 4, seed: 7 };

  test('does not depend on the batch size and repeats with its seed', async () => {
    const together = await generate(model, prompts, { maxNewTokens: 5, sampling });
    const apart = await generate(model, prompts, { maxNewTokens: 5, sampling, batchSize: 3 });
    expect(together.map(ids)).toEqual(apart.map(ids));
    const other = await generate(model, prompts, { maxNewTokens: 5, sampling: { ...sampling, seed: 8 } });
    expect(other.map(ids)).not.toEqual(together.map(ids));
  });

  test('draws each of the k likeliest tokens as often as its share, and no other', async () => {
    const copies = Array<number[]>(2000).fill(prompts[0]!);
    const shares = softmax(
      referenceForward(tinyConfig, tinyWeights(), prompts[0]!)
        .logits.at(-1)!
        .map((logit) => logit / 1.3),
    );
    const likeliest = shares
      .map((share, id) => ({ share, id }))
      .sort((a, b) => b.share - a.share)
      .slice(0, 4);
    const total = likeliest.reduce((sum, { share }) => sum + share, 0);
    const drawn = await generate(model, copies, { maxNewTokens: 1, sampling });
    const counts = new Map<number, number>();
    for (const generation of drawn) {
      const id = generation.tokens[0]?.id ?? tinyTokenizer.eosId;
      counts.set(id, (counts.get(id) ?? 0) + 1);
    }
    expect([...counts.keys()].sort()).toEqual(likeliest.map(({ id }) => id).sort());
    for (const { id, share } of likeliest) expect(counts.get(id)! / 2000).toBeCloseTo(share / total, 1);
  });
});

describe('an edited activation', () => {
  const longer = prompts.filter((prompt) => prompt.length > 2);
  const layer = 1;
  const values = Float32Array.from({ length: longer.length * tinyConfig.dModel }, (_, i) => 2 * Math.sin(i));

  /** What an edit must give: the same prompt in a model that is recomputed in one piece, from the edited layer on. */
  async function expectAsRecomputed(options: Partial<GenerateOptions>, positionOf: (i: number) => number) {
    const edited = await generate(model, longer, { maxNewTokens: 4, edit: { layer, values }, ...options });
    const plain = await generate(model, longer, { maxNewTokens: 4 });
    expect(edited.map(ids)).not.toEqual(plain.map(ids));
    for (const [i, generation] of edited.entries()) {
      const value = values.subarray(i * tinyConfig.dModel, (i + 1) * tinyConfig.dModel);
      expect(ids(generation)).toEqual(recompute(longer[i]!, positionOf(i), value));
    }
  }

  function recompute(prompt: readonly number[], position: number, value: Float32Array): number[] {
    const tokens = [...prompt];
    while (tokens.length < prompt.length + 4) {
      const lower = referenceForward(tinyConfig, tinyWeights(), tokens).resid[layer]!;
      lower[position] = [...value];
      const best = argMax(upperLogits(lower));
      if (best === tinyTokenizer.eosId) break;
      tokens.push(best);
    }
    return tokens.slice(prompt.length);
  }

  /** The blocks above `layer`, by asking the reference for a model of only those, fed through its embeddings. */
  function upperLogits(resid: number[][]): number[] {
    const weights = tinyWeights();
    const upper = Object.fromEntries(
      Object.entries(weights).flatMap(([name, array]) => {
        const block = /^h\.(\d+)\.(.*)$/.exec(name);
        if (!block) return [[name, array]];
        const index = Number(block[1]) - layer - 1;
        return index < 0 ? [] : [[`h.${index}.${block[2]}`, array]];
      }),
    );
    // Positions carry the residual stream; the token embedding that is added to them is token 0's, taken off first.
    const embedding = weights['wte.weight']!.data.subarray(0, tinyConfig.dModel);
    const data = new Float32Array(tinyConfig.nCtx * tinyConfig.dModel);
    resid.forEach((row, i) => {
      data.set(
        row.map((x, j) => x - embedding[j]!),
        i * tinyConfig.dModel,
      );
    });
    const config = { ...tinyConfig, nLayers: tinyConfig.nLayers - layer - 1 };
    const wpe = { data, shape: [tinyConfig.nCtx, tinyConfig.dModel] };
    const tokens = Array<number>(resid.length).fill(0);
    return referenceForward(config, { ...upper, 'wpe.weight': wpe }, tokens).logits.at(-1)!;
  }

  test('at the last token gives what recomputing with it gives, batched or one by one', async () => {
    await expectAsRecomputed({}, (i) => longer[i]!.length - 1);
    await expectAsRecomputed({ batchSize: 1 }, (i) => longer[i]!.length - 1);
  });

  test('at another position gives what recomputing with it gives', async () => {
    const positions = longer.map((prompt) => prompt.length - 2);
    await expectAsRecomputed({ edit: { layer, values, positions }, batchSize: 4 }, (i) => positions[i]!);
  });

  test('by the captured activation itself changes nothing', async () => {
    const captured = await captureResidPost(model, longer, { layer });
    const same = await generate(model, longer, { maxNewTokens: 4, edit: { layer, values: captured } });
    expect(same.map(ids)).toEqual((await generate(model, longer, { maxNewTokens: 4 })).map(ids));
  });
});

test.each([
  [[[3], []], {}, 'prompts.1', /0 tokens/],
  [[Array(13).fill(3)], {}, 'prompts.0', /13 tokens.*1 to 12/],
  [[[3]], { edit: { layer: 3, values: new Float32Array(8) } }, 'edit.layer', /-1 to 2, got 3/],
  [[[3]], { edit: { layer: 0, values: new Float32Array(7) } }, 'edit.values', /1 × 8 numbers, got 7/],
  [[[3]], { edit: { layer: 0, values: new Float32Array(8), positions: [1] } }, 'edit.positions.0', /got 1/],
])('refuses what does not fit: %j %j', async (given, options, path, message) => {
  await expect(generate(model, given, { maxNewTokens: 1, ...options })).rejects.toMatchObject({
    code: 'INVALID_INPUT',
    path: path.split('.'),
    message: expect.stringMatching(message),
  });
});

test('leaves no tensor behind and lets the event loop turn between tokens', async () => {
  let breaths = 0;
  const breathe = async () => {
    breaths++;
  };
  const values = new Float32Array(prompts.length * tinyConfig.dModel);
  const before = tf.memory().numTensors;
  await generate(model, prompts, { maxNewTokens: 4, breathe, edit: { layer: 0, values } });
  expect(tf.memory().numTensors).toBe(before);
  expect(breaths).toBe(4);
  const failing = () => Promise.reject(new Error('cancelled'));
  await expect(generate(model, prompts, { maxNewTokens: 4, breathe: failing })).rejects.toThrow('cancelled');
  expect(tf.memory().numTensors).toBe(before);
});

const argMax = (values: readonly number[]) => values.indexOf(Math.max(...values));
