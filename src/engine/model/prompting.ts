/** A model as a dataset's prompts are put to it: behind the dataset's prefix, which is run once for all of them. */
import * as tf from '@tensorflow/tfjs-core';
import { invalidInput } from '../../errors.ts';
import type { Prompted } from '../contract/dataset.ts';
import { askingOf } from './asking.ts';
import { causalSight, type KeyValues, type SharedPrefix, sharedKeyValues } from './attention.ts';
import { computes } from './captured.ts';
import { embed, headsOf, runBlocks } from './decoder.ts';
import type { LanguageModel } from './languageModel.ts';
import { padTokens, type Tokens } from './tokens.ts';

/** Prefixes of which a loaded model keeps what it computed. */
const MAX_KEPT = 4;

/**
 * The model that reads every prompt behind the prefix: prompts and positions are counted from its end, hooks see nothing
 * of it, and `nCtx` is what it leaves. The prefix is run by the first call and kept with the model's weights, which
 * remain the given model's: disposing either frees both. Prompts are tokenised by themselves. A model that does not compute stays as it is.
 * @throws {AppError} INVALID_INPUT for a prefix that leaves no room for a prompt.
 */
export function promptedBy(model: LanguageModel, prompted: Prompted): LanguageModel {
  const { prefix, answerEnd, chat = false, letterCase = false } = prompted;
  if (!computes(model) || (prefix === undefined && answerEnd === undefined && !chat && !letterCase))
    return model;
  const asking = askingOf(model.tokenizer, prompted);
  const shared = prefix === undefined ? null : keptPrefix(model, asking.prefix);
  const nCtx = model.config.nCtx - (shared?.tokens.length ?? 0);
  return {
    ...model,
    config: { ...model.config, nCtx },
    // What ends an answer ends what is generated.
    tokenizer: { ...model.tokenizer, eosId: asking.endId },
    asking,
    prompting: { prefix: shared, answerEnd: answerEnd ?? null, letterCase, alone: model },
  };
}

function keptPrefix(model: LanguageModel, tokens: Tokens): SharedPrefix {
  const { prefixes } = model;
  const key = tokens.join(' ');
  const kept = prefixes.get(key) ?? runPrefix(model, checkPrefix(model, tokens));
  // The last one used is the last one to go.
  prefixes.delete(key);
  prefixes.set(key, kept);
  const [[oldest, { keyValues }]] = prefixes as unknown as [[string, SharedPrefix]];
  if (prefixes.size > MAX_KEPT) {
    tf.dispose(keyValues.flat());
    prefixes.delete(oldest);
  }
  return kept;
}

function checkPrefix({ config: { nCtx } }: LanguageModel, tokens: Tokens): Tokens {
  if (tokens.length >= 1 && tokens.length <= nCtx - 2) return tokens;
  const why = `the prefix has ${tokens.length} tokens; the model reads ${nCtx}, of which a prompt and its answer need some`;
  throw invalidInput(['dataset', 'prefix'], why);
}

function runPrefix({ config, weights }: LanguageModel, tokens: Tokens): SharedPrefix {
  const keyValues = tf.tidy(() => {
    const sight = causalSight(1, tokens.length);
    const x = embed(config, weights, padTokens([tokens], tokens.length), sight);
    const { cache } = runBlocks(config, weights, x, sight, { keeps: true });
    return cache.map((present, layer) => [...sharedKeyValues(present, headsOf(config, layer))]);
  });
  return { tokens, keyValues: keyValues as KeyValues[] };
}
