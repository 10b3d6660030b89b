/** Token by token through the model with a key–value cache; what runs of the prompts is kept between tokens. */
import * as tf from '@tensorflow/tfjs-core';
import type { ModelConfig } from '../contract/model.ts';
import { gatherRows } from '../ops.ts';
import type { Tensors } from '../step/stepper.ts';
import { tidied } from '../tidied.ts';
import { cachedSight, causalSight, type KeyValues, type Sight, widenKeyValues } from './attention.ts';
import { embed, type Passage, type ResidHook, runBlocks, unembed } from './decoder.ts';
import { type LanguageModel, prefixOf } from './languageModel.ts';
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
  const rows = lastRows(prompts, T);
  const made = tidied(() =>
    run(model, padTokens(prompts, T), causalSight(B, T, prefixOf(model)), { hook }, rows),
  );
  return { ...made, lengths: prompts.map(({ length }) => length), width: T, made: 0 };
}

/** Prompts run up to a layer, from which the blocks above may go on any number of times. */
export interface Trunk {
  prompts: readonly Tokens[];
  layer: number;
  /** Length to which the prompts were padded. */
  width: number;
  /** `blocks.{layer}.resid_post`, `[B, T, C]`. */
  resid: tf.Tensor3D;
  /** Of the blocks up to the layer. */
  cache: KeyValues[];
}

/** Runs the prompts as `prefill` does, but no further than `layer`; the caller frees it by `disposeTrunk`. */
export function runTrunk(model: LanguageModel, prompts: readonly Tokens[], layer: number): Trunk {
  const { config, weights } = model;
  const sight = causalSight(prompts.length, Math.max(1, longest(prompts)), prefixOf(model));
  const below = tidied(() => {
    const x = embed(config, weights, padTokens(prompts, sight.T), sight);
    return runBlocks(config, weights, x, sight, { to: layer, keeps: true });
  });
  return { prompts, layer, width: sight.T, ...below };
}

/**
 * Goes on from the trunk with `resid` in the place of its own; equal to a `prefill` whose hook puts it there. Of a trunk
 * of one prompt it may have any number of rows.
 */
export function branchTrunk(
  model: LanguageModel,
  { prompts, layer, cache }: Trunk,
  resid: tf.Tensor3D,
): DecodeState {
  const { config, weights } = model;
  const [B, T] = resid.shape;
  const isOne = prompts.length === 1 && B > 1;
  const rows = isOne ? Array.from({ length: B }, () => prompts[0]!) : prompts;
  const state = tidied(() => {
    const above = runBlocks(config, weights, resid, causalSight(B, T, prefixOf(model)), {
      from: layer + 1,
      keeps: true,
    });
    const kept = cache.map((parts) => parts.map((part) => (isOne ? repeatRow(part, B) : part.clone())));
    const logits = logitsAt(config, weights, above.resid, lastRows(rows, T));
    return { logits, cache: [...kept, ...above.cache] };
  });
  return { ...state, lengths: rows.map(({ length }) => length), width: T, made: 0 };
}

export function disposeTrunk({ resid, cache }: Trunk): void {
  tf.dispose([resid, ...cache.flat()]);
}

/**
 * Feeds one token to every sequence, at its own position. The previous state's cache is freed on the way; its logits stay
 * the caller's to free.
 */
export function decode(
  model: LanguageModel,
  { cache: past, lengths, width, made }: DecodeState,
  ids: readonly number[],
  hook?: ResidHook,
): DecodeState {
  const after = tidied(() => {
    const tokens = tf.tensor2d(ids as number[], [ids.length, 1], 'int32');
    const sight = cachedSight(lengths, width, made, model.config.nCtx, prefixOf(model));
    return run(model, tokens, sight, { hook, past, spends: true });
  });
  return { ...after, lengths, width, made: made + 1 };
}

export function disposeState({ logits, cache }: DecodeState): void {
  tf.dispose([logits, ...cache.flat()]);
}

/** Rows of a state as one of their own; the state is freed on the way, block by block. */
export function keepRows(state: DecodeState, rows: readonly number[]): DecodeState {
  const { logits, cache, lengths, ...rest } = state;
  const indices = tf.tensor1d(rows as number[], 'int32');
  const taken = cache.map((parts) => {
    const kept = parts.map((part) => tf.gather(part, indices));
    tf.dispose(parts as tf.Tensor[]);
    return kept;
  });
  const next = tf.gather(logits, indices);
  tf.dispose([logits, indices]);
  return { ...rest, logits: next, cache: taken, lengths: rows.map((row) => lengths[row]!) };
}

/** A row of one of several states. */
export interface StateRow {
  state: number;
  row: number;
}

/**
 * Rows of states whose prompts have just run, in this order, as one state, padded to the widest of theirs; the states stay
 * as they are. Block by block, so that what it takes on the way is little.
 */
export function collectRows(states: readonly DecodeState[], chosen: readonly StateRow[]): DecodeState {
  const used = [...new Set(chosen.map(({ state }) => state))];
  const rowsOf = used.map((state) => chosen.flatMap((one) => (one.state === state ? [one.row] : [])));
  const width = Math.max(...used.map((state) => states[state]!.width));
  const places = used.flatMap((state) => chosen.flatMap((one, i) => (one.state === state ? [i] : [])));
  const order = places.map((_, i) => places.indexOf(i));
  const isInOrder = order.every((row, i) => row === i);
  const join = (parts: tf.Tensor[]) => {
    const joined = parts.length === 1 ? parts[0]! : tf.concat(parts, 0);
    return isInOrder ? joined : tf.gather(joined, order);
  };
  const collect = (of: (state: DecodeState) => KeyValues) =>
    tidied(() => {
      const parts = used.map((state, i) => {
        const taken = of(states[state]!).map((part) => tf.gather(part, rowsOf[i]!));
        return taken.length === 1 ? taken : widenKeyValues(taken, width - states[state]!.width);
      });
      return parts[0]!.map((_, i) => join(parts.map((own) => own[i]!)));
    });
  const cache = states[0]!.cache.map((_, layer) => collect((state) => state.cache[layer]!));
  const [logits] = collect((state) => [state.logits]) as [tf.Tensor2D];
  return {
    ...{ logits, cache, width, made: 0 },
    lengths: chosen.map(({ state, row }) => states[state]!.lengths[row]!),
  };
}

/** The rows of states of prompts of one width, after as many tokens, as one state; they stay the caller's to free. */
export function joinStates(states: readonly DecodeState[]): DecodeState {
  const [first] = states as [DecodeState];
  const joined = tidied(() => {
    const join = <T extends tf.Tensor>(parts: T[]) => tf.concat(parts, 0) as T;
    const logits = join(states.map((state) => state.logits));
    const cache = first.cache.map((parts, layer) =>
      parts.map((_, i) => join(states.map((state) => state.cache[layer]![i]!))),
    );
    return { logits, cache };
  });
  return { ...first, ...joined, lengths: states.flatMap(({ lengths }) => lengths) };
}

function repeatRow<T extends tf.Tensor>(row: T, times: number): T {
  return tf.gather(row, tf.zeros([times], 'int32') as tf.Tensor1D) as T;
}

/** All blocks over `tokens [B, T]`; logits after rows `last` of `[B·T]`, by default the only one of each sequence. */
function run(
  { config, weights }: LanguageModel,
  tokens: tf.Tensor2D,
  sight: Sight,
  passage: Passage,
  last?: number[],
): Pick<DecodeState, 'logits' | 'cache'> {
  const x = embed(config, weights, tokens, sight); // [B, T, C]
  const { resid, cache } = runBlocks(config, weights, x, sight, { ...passage, keeps: true });
  return { logits: logitsAt(config, weights, resid, last), cache };
}

/** Logits `[B, V]` after rows `last` of `resid [B, T, C]`. */
function logitsAt(config: ModelConfig, weights: Tensors, resid: tf.Tensor3D, last?: number[]): tf.Tensor2D {
  const [B, T, C] = resid.shape;
  const flat = tf.reshape(resid, [B * T, C]) as tf.Tensor2D;
  const chosen = last ? gatherRows(flat, tf.tensor1d(last, 'int32')) : flat;
  const logits = unembed(config, weights, tf.reshape(chosen, [B, 1, C]));
  return tf.reshape(logits, [B, config.dVocab]);
}

/** Each prompt's last token among the rows of the padded batch. */
function lastRows(prompts: readonly Tokens[], T: number): number[] {
  return prompts.map(({ length }, i) => i * T + Math.max(0, length - 1));
}

/** The trunk of the same prompts, some of them several times, with only what later tokens need of it. */
export function selectTrunk({ prompts, layer, width, resid, cache }: Trunk, rows: readonly number[]): Trunk {
  const taken = tidied(() => {
    const indices = tf.tensor1d(rows as number[], 'int32');
    const take = <T extends tf.Tensor>(x: T) => tf.gather(x, indices) as T;
    return { resid: take(resid), cache: cache.map((parts) => parts.map(take)) };
  });
  return { prompts: rows.map((row) => prompts[row]!), layer, width, ...taken };
}

/**
 * Feeds one token to every sequence, no further than the trunk's layer: `resid [B, 1, C]` is what is there then. Before
 * it, `made` tokens were fed since the prompts; the previous trunk stays the caller's to free.
 */
export function growTrunk(model: LanguageModel, trunk: Trunk, made: number, ids: readonly number[]): Trunk {
  const { config, weights } = model;
  const { prompts, layer, width, cache: past } = trunk;
  const lengths = prompts.map(({ length }) => length);
  const below = tidied(() => {
    const sight = cachedSight(lengths, width, made, config.nCtx, prefixOf(model));
    const x = embed(config, weights, tf.tensor2d(ids as number[], [ids.length, 1], 'int32'), sight);
    return runBlocks(config, weights, x, sight, { to: layer, past, keeps: true });
  });
  return { prompts, layer, width, ...below };
}
