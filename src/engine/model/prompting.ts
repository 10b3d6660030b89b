/** A model as a dataset's prompts are put to it: behind the dataset's prefix, which is run once for all of them. */
import * as tf from '@tensorflow/tfjs-core';
import { invalidInput } from '../../errors.ts';
import type { Prompted } from '../contract/dataset.ts';
import { causalSight, type KeyValues, type SharedPrefix, sharedKeyValues } from './attention.ts';
import { computes } from './captured.ts';
import { embed, headsOf, runBlocks } from './decoder.ts';
import type { LanguageModel } from './languageModel.ts';
import { padTokens } from './tokens.ts';

/** Prefixes of which a loaded model keeps what it computed. */
const MAX_KEPT = 4;

/**
 * The model that reads every prompt behind the prefix: prompts and positions are counted from its end, hooks see nothing
 * of it, and `nCtx` is what it leaves. The prefix is run by the first call and kept with the model's weights, which
 * remain the given model's: disposing either frees both. Prompts are tokenised by themselves. A model that does not compute stays as it is.
 * @throws {AppError} INVALID_INPUT for a prefix that leaves no room for a prompt.
 */
export function promptedBy(model: LanguageModel, { prefix, answerEnd }: Prompted): LanguageModel {
  if (!computes(model) || (prefix === undefined && answerEnd === undefined)) return model;
  const shared = prefix === undefined ? null : keptPrefix(model, prefix);
  const nCtx = model.config.nCtx - (shared?.tokens.length ?? 0);
  return {
    ...model,
    config: { ...model.config, nCtx },
    prompting: { prefix: shared, answerEnd: answerEnd ?? null, alone: model },
  };
}

function keptPrefix(model: LanguageModel, text: string): SharedPrefix {
  const { prefixes } = model;
  const kept = prefixes.get(text) ?? runPrefix(model, readPrefix(model, text));
  // The last one used is the last one to go.
  prefixes.delete(text);
  prefixes.set(text, kept);
  const [[oldest, { keyValues }]] = prefixes as unknown as [[string, SharedPrefix]];
  if (prefixes.size > MAX_KEPT) {
    tf.dispose(keyValues.flat());
    prefixes.delete(oldest);
  }
  return kept;
}

function readPrefix({ config: { nCtx }, tokenizer }: LanguageModel, text: string): number[] {
  const tokens = tokenizer.encode(text);
  if (tokens.length >= 1 && tokens.length <= nCtx - 2) return tokens;
  const why = `the prefix has ${tokens.length} tokens; the model reads ${nCtx}, of which a prompt and its answer need some`;
  throw invalidInput(['dataset', 'prefix'], why);
}

function runPrefix({ config, weights }: LanguageModel, tokens: readonly number[]): SharedPrefix {
  const keyValues = tf.tidy(() => {
    const sight = causalSight(1, tokens.length);
    const x = embed(config, weights, padTokens([tokens], tokens.length), sight);
    const { cache } = runBlocks(config, weights, x, sight, { keeps: true });
    return cache.map((present, layer) => [...sharedKeyValues(present, headsOf(config, layer))]);
  });
  return { tokens, keyValues: keyValues as KeyValues[] };
}
