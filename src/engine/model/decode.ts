/** Token by token through the model with a key–value cache; what runs of the prompts is kept between tokens. */
import * as tf from '@tensorflow/tfjs-core';
import { gatherRows } from '../ops.ts';
import { cachedSight, causalSight, type KeyValues, type Sight } from './attention.ts';
import { block, embed, unembed } from './gpt2.ts';
import type { LanguageModel } from './languageModel.ts';
import { longest, padTokens, type Tokens } from './tokens.ts';

/** Rewrites the residual stream at one place while the model runs. */
export interface ResidHook {
  /** Applied to `blocks.{layer}.resid_post`; −1 is the stream before the first block. */
  layer: number;
  /**
   * Takes `[B, T, C]` and returns what the blocks above see: T is the padded prompts' length in `prefill` and 1 in
   * `decode`. Runs inside a `tidy`.
   */
  apply(resid: tf.Tensor3D): tf.Tensor3D;
}

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
export function prefill(
  { config, weights }: LanguageModel,
  prompts: readonly Tokens[],
  hook?: ResidHook,
): DecodeState {
  const [B, T, C] = [prompts.length, Math.max(1, longest(prompts)), config.dModel];
  const { logits, cache } = tidied(() => {
    const positions = tf.slice2d(weights['wpe.weight'] as tf.Tensor2D, [0, 0], [T, C]); // [T, C]
    const x = tf.add(embed(weights, padTokens(prompts, T)), positions) as tf.Tensor3D; // [B, T, C]
    const { resid, cache } = runBlocks(config, weights, x, causalSight(B, T), [], hook);
    const lastRows = tf.tensor1d(
      prompts.map(({ length }, i) => i * T + Math.max(0, length - 1)),
      'int32',
    );
    const last = tf.reshape(gatherRows(tf.reshape(resid, [B * T, C]), lastRows), [B, 1, C]);
    const logits = unembed(config, weights, last as tf.Tensor3D);
    return { logits: tf.reshape(logits, [B, config.dVocab]) as tf.Tensor2D, cache };
  });
  return { logits, cache, lengths: prompts.map(({ length }) => length), width: T, made: 0 };
}

/** Feeds one token to every sequence, at its own position; the previous state stays the caller's to free. */
export function decode(
  { config, weights }: LanguageModel,
  previous: DecodeState,
  ids: readonly number[],
  hook?: ResidHook,
): DecodeState {
  const { lengths, width, made } = previous;
  const [B, C] = [lengths.length, config.dModel];
  const { logits, cache } = tidied(() => {
    const places = lengths.map((length) => Math.min(length + made, config.nCtx - 1)); // full rows idle
    const positions = gatherRows(weights['wpe.weight'] as tf.Tensor2D, tf.tensor1d(places, 'int32'));
    const tokens = tf.tensor2d(ids as number[], [B, 1], 'int32');
    const x = tf.add(embed(weights, tokens), tf.reshape(positions, [B, 1, C])) as tf.Tensor3D; // [B, 1, C]
    const sight = cachedSight(lengths, width, made);
    const { resid, cache } = runBlocks(config, weights, x, sight, previous.cache, hook);
    const logits = unembed(config, weights, resid);
    return { logits: tf.reshape(logits, [B, config.dVocab]) as tf.Tensor2D, cache };
  });
  return { logits, cache, lengths, width, made: made + 1 };
}

export function disposeState({ logits, cache }: DecodeState): void {
  tf.dispose([logits, ...cache.flat()]);
}

function runBlocks(
  config: LanguageModel['config'],
  weights: LanguageModel['weights'],
  x: tf.Tensor3D,
  sight: Sight,
  past: readonly KeyValues[],
  hook: ResidHook | undefined,
): { resid: tf.Tensor3D; cache: KeyValues[] } {
  const [B, T, C] = x.shape;
  const flat = (resid: tf.Tensor3D) => tf.reshape(resid, [B * T, C]) as tf.Tensor2D;
  const whole = (resid: tf.Tensor2D) => tf.reshape(resid, [B, T, C]) as tf.Tensor3D;
  const hooked = (layer: number, resid: tf.Tensor2D) =>
    hook?.layer === layer ? flat(hook.apply(whole(resid))) : resid;
  const cache: KeyValues[] = [];
  let resid = hooked(-1, flat(x));
  for (let layer = 0; layer < config.nLayers; layer++) {
    const output = block(config, weights, layer, resid, sight, past[layer]);
    resid = hooked(layer, output.resid);
    // Copies of what the previous state holds as well are freed with each state by itself.
    cache.push(output.present.map((part) => part.clone()));
  }
  return { resid: whole(resid), cache };
}

/** `tf.tidy` for a nested result, whose type it cannot express. */
function tidied<T>(run: () => T): T {
  return tf.tidy(run as unknown as () => tf.TensorContainer) as unknown as T;
}
