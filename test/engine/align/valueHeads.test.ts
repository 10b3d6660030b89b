import { beforeAll, describe, expect, test } from 'vitest';
import { measureSplit } from '../../../src/engine/align/bind.ts';
import { outputsFor, tokenOf, valueHeadsFor } from '../../../src/engine/align/valueHeads.ts';
import type { Prompt } from '../../../src/engine/contract/dataset.ts';
import type { ValueHeads } from '../../../src/engine/contract/sae.ts';
import type { LanguageModel } from '../../../src/engine/model/languageModel.ts';
import { initSae } from '../../../src/engine/sae/autoencoder.ts';
import { Sae } from '../../../src/engine/sae/sae.ts';
import { createRandom } from '../../../src/random.ts';
import { loadTestBackend } from '../../helpers/engine.ts';
import { tinySae } from './tinySae.ts';

const ANSWERS = ['9 4', '2', '9 1', '5 5'];
const prompts = ANSWERS.map((answer) => ({ answer }) as Prompt);
/** Answers are written as the ids of their tokens. */
const modelOf = (dVocab: number) =>
  ({
    config: { dVocab },
    asking: { answer: (text: string) => text.split(' ').map(Number), endId: 0 },
  }) as unknown as LanguageModel;

test('heads tell apart what answers begin with, where the vocabulary is much larger', () => {
  const heads = valueHeadsFor(modelOf(30), prompts, 8);
  expect(heads).toEqual({ hidden: 8, dVocab: 3, tokens: [2, 5, 9] });
  expect([...outputsFor(heads, Int32Array.of(9, 2, 9, 5))]).toEqual([2, 0, 2, 1]);
  expect([0, 1, 2].map((output) => tokenOf(heads, output))).toEqual([2, 5, 9]);
});

test('heads tell apart a whole vocabulary that is not', () => {
  const heads = valueHeadsFor(modelOf(29), prompts, 8);
  expect(heads).toEqual({ hidden: 8, dVocab: 29 });
  expect([...outputsFor(heads, Int32Array.of(9, 2))]).toEqual([9, 2]);
  expect(tokenOf(heads, 9)).toBe(9);
});

describe.each(['auto', 'wasm'] as const)('on the %s backend', (choice) => {
  beforeAll(() => loadTestBackend(choice));

  test('heads of some tokens name what those of all name, where these rule the others out', async () => {
    const tokens = [2, 5, 9];
    const few = saeWith({ hidden: 4, dVocab: 3, tokens });
    const all = saeWith({ hidden: 4, dVocab: 12 });
    for (const name of ['value.hidden.weight', 'value.hidden.bias'])
      all.weights[name]!.data.set(few.weights[name]!.data);
    all.weights['value.out.weight']!.data.fill(0);
    all.weights['value.out.bias']!.data.fill(-1e6);
    spread(few, all, 'value.out.weight', tokens);
    spread(few, all, 'value.out.bias', tokens);
    const measured = await Promise.all([few, all].map(measure));
    expect(measured[0]).toEqual(measured[1]);
    expect(measured[0]!.valueAccuracy).toBeGreaterThan(0);
    expect(measured[0]!.valueAccuracy).toBeLessThan(1);
  });
});

function saeWith(valueHeads: ValueHeads) {
  const tiny = tinySae();
  const config = { ...tiny.config, valueHeads };
  return { ...tiny, config, weights: initSae(config, 5) };
}

/** Puts the last axis of `few` into the columns of `all` that these tokens have. */
function spread(few: ReturnType<typeof saeWith>, all: typeof few, name: string, tokens: number[]): void {
  const [from, to] = [few.weights[name]!, all.weights[name]!];
  const [narrow, wide] = [from.shape.at(-1)!, to.shape.at(-1)!];
  from.data.forEach((value, i) => {
    to.data[Math.floor(i / narrow) * wide + tokens[i % narrow]!] = value;
  });
}

async function measure(stored: ReturnType<typeof saeWith>) {
  const sae = new Sae(stored);
  const random = createRandom(3);
  const n = 60;
  const data = {
    h: Float32Array.from({ length: n * sae.config.dModel }, () => random.normal()),
    concepts: Array.from({ length: n }, (_, i) => i % sae.config.nConcepts),
    answers: Array.from({ length: n }, () => [2, 5, 9][random.int(3)]!),
  };
  try {
    const { valueAccuracy, conceptValueAccuracy } = await measureSplit(sae, 'TRAIN', data, async () => {});
    return { valueAccuracy, conceptValueAccuracy };
  } finally {
    sae.dispose();
  }
}
