/** A language model small enough for plain loops and finite differences, with no weight left at 0 or 1. */

import type { Arrays } from '../../../src/engine/contract/arrays.ts';
import type { ModelConfig } from '../../../src/engine/contract/model.ts';
import {
  createLanguageModel,
  initWeights,
  type LanguageModel,
} from '../../../src/engine/model/languageModel.ts';
import { buildWordLevelTokenizer, loadTokenizer } from '../../../src/formats/tokenizer.ts';
import { createRandom } from '../../../src/random.ts';

const WORDS = ['ada', 'bo', 'cy', 'di', 'eve', 'fay', 'guy', 'hal'];
export const tinyTokenizerJson = buildWordLevelTokenizer([WORDS.join(' ')]);
export const tinyTokenizer = loadTokenizer(tinyTokenizerJson);

export const tinyConfig: ModelConfig = {
  nLayers: 3,
  nHeads: 2,
  dModel: 8,
  dMlp: 12,
  nCtx: 12,
  dVocab: tinyTokenizer.dVocab,
  layerNormEps: 1e-5,
};

export function tinyWeights(seed = 0): Arrays {
  const weights = initWeights(tinyConfig, 0.6, seed);
  for (const [name, { data }] of Object.entries(weights)) {
    const random = createRandom(seed, 'tiny', name);
    if (name.endsWith('.bias') || name.includes('ln_'))
      for (let i = 0; i < data.length; i++) data[i]! += 0.3 * random.normal();
  }
  // Makes the end token likely enough that some generations end by themselves.
  const { data } = weights['wte.weight']!;
  for (let i = 0; i < tinyConfig.dModel; i++) data[tinyTokenizer.eosId * tinyConfig.dModel + i]! *= 2.5;
  return weights;
}

/** The caller disposes it. */
export function tinyModel(seed = 0): LanguageModel {
  return createLanguageModel(tinyConfig, tinyWeights(seed), tinyTokenizer);
}

/** Prompts of several lengths, token ids below the vocabulary and above the special ones. */
export function tinyPrompts(count: number, maxLength = 7): number[][] {
  const random = createRandom(1, 'prompts');
  return Array.from({ length: count }, () =>
    Array.from({ length: 1 + random.int(maxLength) }, () => 3 + random.int(WORDS.length)),
  );
}
