/** Token by token through the model with a key–value cache; what runs of the prompts is kept between tokens. */
import * as tf from '@tensorflow/tfjs-core';
import { gatherRows } from '../ops.ts';
import { cachedSight, causalSight, type KeyValues, type Sight } from './attention.ts';
import { embed, type Passage, type ResidHook, runBlocks, unembed } from './decoder.ts';
import type { LanguageModel } from './languageModel.ts';
import { longest, padTokens, type Tokens } from './tokens.ts';

/** What the model holds of the sequences so far; the tensors are the caller's, to be freed by `disposeState`. */
export interface DecodeState {
  /** `[B, V]`, of the token that comes next. */
  logits: tf.Tensor2D;
  /** One a block, over the padded prompts and every token fed since. */
  cache: KeyValues[];
  /** Tokens of each prompt. */
  lengths: readonly number[];
  /** Length to which the prompts were padded. */
  width: number;
  /** Tokens fed since. */
  made: number;
}

/**
 * Runs the prompts, padded at the right to the longest; the logits are those after each prompt's last token. A prompt
 * may be empty, if its first token is fed next; its logits mean nothing.
 */
export function prefill(model: LanguageModel, prompts: readonly Tokens[], hook?: ResidHook): DecodeState {
  const [B, T] = [prompts.length, Math.max(1, longest(prompts))];
  const rows = prompts.map(({ length }, i) => i * T + Math.max(0, length - 1));
  const made = tidied(() => run(model, padTokens(prompts, T), causalSight(B, T), { hook }, rows));
  return { ...made, lengths: prompts.map(({ length }) => length), width: T, made: 0 };
}

/** Feeds one token to every sequence, at its own position; the previous state stays the caller's to free. */
export function decode(
  model: LanguageModel,
  { cache: past, lengths, width, made }: DecodeState,
  ids: readonly number[],
  hook?: ResidHook,
): DecodeState {
  const after = tidied(() => {
    const tokens = tf.tensor2d(ids as number[], [ids.length, 1], 'int32');
    return run(model, tokens, cachedSight(lengths, width, made, model.config.nCtx), { hook, past });
  });
  return { ...after, lengths, width, made: made + 1 };
}

export function disposeState({ logits, cache }: DecodeState): void {
  tf.dispose([logits, ...cache.flat()]);
}

/** The rows of a state as a state of their own. */
export function selectRows(
  { logits, cache, lengths, ...rest }: DecodeState,
  rows: readonly number[],
): DecodeState {
  const taken = tidied(() => {
    const indices = tf.tensor1d(rows as number[], 'int32');
    const take = <T extends tf.Tensor>(x: T) => tf.gather(x, indices) as T;
    return { logits: take(logits), cache: cache.map((parts) => parts.map(take)) };
  });
  return { ...rest, ...taken, lengths: rows.map((row) => lengths[row]!) };
}

/** All blocks over `tokens [B, T]`; logits after row `lastRows[i]` of `[B·T]`, by default the only one of each sequence. */
function run(
  { config, weights }: LanguageModel,
  tokens: tf.Tensor2D,
  sight: Sight,
  passage: Passage,
  lastRows?: number[],
): Pick<DecodeState, 'logits' | 'cache'> {
  const { B, T } = sight;
  const x = embed(config, weights, tokens, sight); // [B, T, C]
  const { resid, cache } = runBlocks(config, weights, x, sight, { ...passage, keeps: true });
  const flat = tf.reshape(resid, [B * T, config.dModel]) as tf.Tensor2D;
  const last = lastRows ? gatherRows(flat, tf.tensor1d(lastRows, 'int32')) : flat;
  const logits = unembed(config, weights, tf.reshape(last, [B, 1, config.dModel]));
  return { logits: tf.reshape(logits, [B, config.dVocab]), cache };
}

/** `tf.tidy` for a nested result, whose type it cannot express. */
function tidied<T>(run: () => T): T {
  return tf.tidy(run as unknown as () => tf.TensorContainer) as unknown as T;
}
