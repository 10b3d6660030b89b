/** Baselines that people cite, on tasks whose answer is known. */
import * as tf from '@tensorflow/tfjs-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { CapturedPrompt } from '../../../src/engine/align/captured.ts';
import { type Interchange, prepareDas, trainDas } from '../../../src/engine/edits/das.ts';
import { applyEdits } from '../../../src/engine/edits/edit.ts';
import { createEditor, groupSwap } from '../../../src/engine/edits/editors.ts';
import { continuePatched } from '../../../src/engine/edits/patched.ts';
import { fitProbe, readWith } from '../../../src/engine/edits/probe.ts';
import { createRowEdits } from '../../../src/engine/edits/rows.ts';
import { orthonormal, randomSubspace, type Subspace } from '../../../src/engine/edits/subspace.ts';
import type { LanguageModel } from '../../../src/engine/model/languageModel.ts';
import { createRandom } from '../../../src/random.ts';
import { loadTestBackend } from '../../helpers/engine.ts';
import { handmadeSae } from '../align/handmade.ts';
import { tinyModel, tinyPrompts } from '../model/tiny.ts';

const breathe = async () => {};
const LAYER = 1;

let model: LanguageModel;
beforeAll(async () => {
  await loadTestBackend();
  model = tinyModel();
});
afterAll(() => model.dispose());

describe('DAS', () => {
  const known = () => randomSubspace(createRandom(7, 'known'), model.config.dModel, 2);

  /** Bases and sources, with what the model says where the source stands in the subspace. */
  async function drawRows(subspace: Subspace, count: number): Promise<Interchange[]> {
    const prompts = tinyPrompts(2 * count, 5);
    const pairs = prompts.slice(0, count).map((tokens, i) => {
      return { tokens, target: prompts[count + i]!, limit: 2 };
    });
    const made = await continuePatched(model, pairs, { layer: LAYER, later: true, subspace }, breathe);
    return pairs.map(({ tokens, target }, i) => ({
      ...{ tokens, source: target },
      answer: made[i]!.length > 0 ? made[i]! : [model.tokenizer.eosId],
    }));
  }

  /** Rows whose answer the interchange in this subspace makes the model give. */
  async function countRight(rows: readonly Interchange[], subspace: Subspace): Promise<number> {
    const asked = rows.map(({ tokens, source }) => ({ tokens, target: source, limit: 2 }));
    const made = await continuePatched(model, asked, { layer: LAYER, later: true, subspace }, breathe);
    const said = (tokens: readonly number[]) => (tokens.length > 0 ? tokens : [model.tokenizer.eosId]);
    return rows.filter(({ answer }, i) => String(said(made[i]!)) === String(answer)).length;
  }

  test('finds the subspace in which sources decide, which a random one of its size does not', async () => {
    const rows = await drawRows(known(), 320);
    const [learned, others] = [rows.slice(0, 256), rows.slice(256)];
    expect(await countRight(others, known())).toBe(others.length);
    const options = { layer: LAYER, later: true, steps: 120, breathe };
    const prepared = await prepareDas(model, learned, options);
    const before = tf.memory().numTensors;
    const train = () => trainDas(model, prepared, createRandom(0, 'das'), 2, options);
    const { subspace, loss } = await train();
    expect(tf.memory().numTensors).toBe(before);
    const random = randomSubspace(createRandom(0, 'das'), model.config.dModel, 2);
    const [found, drawn] = [await countRight(others, subspace), await countRight(others, random)];
    expect(found).toBeGreaterThan(0.8 * others.length);
    expect(found).toBeGreaterThan(drawn + 0.12 * others.length);
    expect(overlap(subspace, known())).toBeGreaterThan(0.8);
    expect(overlap(random, known())).toBeLessThan(0.4);
    expect(await train()).toEqual({ subspace, loss });
  });

  test('edits nothing outside of its subspace, and all of it within', () => {
    const { basis, k, dModel } = orthonormal([1, 1, 0, 1, 1, 0, 0, 2], 4, 2);
    for (let a = 0; a < k; a++)
      for (let b = 0; b < k; b++) {
        let sum = 0;
        for (let j = 0; j < dModel; j++) sum += basis[j * k + a]! * basis[j * k + b]!;
        expect(sum).toBeCloseTo(Number(a === b), 6);
      }
  });

  /** Share of one subspace that lies within the other, 0–1. */
  function overlap(a: Subspace, b: Subspace): number {
    let sum = 0;
    for (let i = 0; i < a.k; i++)
      for (let j = 0; j < b.k; j++) {
        let dot = 0;
        for (let d = 0; d < a.dModel; d++) dot += a.basis[d * a.k + i]! * b.basis[d * b.k + j]!;
        sum += dot * dot;
      }
    return sum / a.k;
  }
});

describe('a linear probe', () => {
  /** Two concepts apart along the first axis, two along the second, in noise that is largest along the third. */
  const random = createRandom(0, 'probe');
  const draw = (count: number, apart: number): CapturedPrompt[] =>
    Array.from({ length: count }, (_, i) => {
      const concept = i % 3;
      const at = [apart, -apart, 0][concept]!;
      const h = Float32Array.from([
        at + random.normal(),
        random.normal() + (concept === 2 ? apart : 0),
        9 * random.normal(),
      ]);
      return { ...PROMPT, id: String(i), concepts: [concept], h };
    });
  const PROMPT = { prompt: '', answer: '', template: '', entity: '', split: 'TRAIN' as const };
  const plain = { mean: new Float32Array(3), scale: 1 };

  test('reads what is linearly apart, on prompts that it did not learn from', async () => {
    const { probe, chosenBy } = await fitProbe(draw(300, 4), draw(90, 4), 3, plain, breathe);
    expect(chosenBy.trials).toBe(90);
    expect(chosenBy.successes).toBeGreaterThan(85);
    const { trials, successes } = readWith(probe, draw(300, 4), plain);
    expect(successes / trials).toBeGreaterThan(0.95);
    const direction = probe.weights[0]!.map((w, j) => w - probe.weights[1]![j]!);
    expect(Math.abs(direction[0]!)).toBeGreaterThan(10 * Math.abs(direction[2]!));
  });

  test('reads nothing where nothing is', async () => {
    const { probe } = await fitProbe(draw(300, 0), draw(90, 0), 3, plain, breathe);
    expect(readWith(probe, draw(300, 0), plain).successes / 300).toBeLessThan(0.5);
  });
});

test('latents that stand for a concept together are set together, each in its own scale', () => {
  const { sae, activation } = handmadeSae();
  const groups = [
    [
      { latent: 0, meanActivation: 2 },
      { latent: 2, meanActivation: 1 },
    ],
    [
      { latent: 1, meanActivation: 3 },
      { latent: 3, meanActivation: 0.5 },
    ],
  ];
  const swaps = [groupSwap(groups, { source: 0, target: 1 })];
  const methods = ['LATENT_DECODE', 'DECODER_COLUMN'] as const;
  const editor = createEditor({ edited: 'UNSUPERVISED_LATENTS', sae, methods, swaps });
  const h = activation({ slots: [1, 0.2], free: [0.5, 2] });
  const edit = editor.edit('LATENT_DECODE', 0, 2);
  const expected = activation({ slots: [0, 1], free: [0, 6] });
  for (const edited of [createRowEdits(sae, h, [0, 1, 2, 3])([edit]), applyEdits(sae, h, [edit])])
    edited.forEach((value, i) => {
      expect(value).toBeCloseTo(expected[i]!, 4);
    });
  const column = (latent: number) => sae.columns([latent]);
  const together = column(1).map((value, j) => 3 * value + 0.5 * column(3)[j]!);
  const length = Math.hypot(...together);
  const added = editor.edit('DECODER_COLUMN', 0, 2) as { direction: Float32Array };
  added.direction.forEach((value, j) => {
    expect(value).toBeCloseTo(together[j]! / length, 5);
  });
  sae.dispose();
});
