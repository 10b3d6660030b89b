/**
 * The decoder that every model is a row of (`contract/modelDecoder.ts`). Everything here is a pure function of weights
 * and tokens, built of tensor operations with static shapes, so it runs eagerly on any backend, compiles into a
 * training step, and goes on token by token from what it kept of earlier ones. Intermediate tensors belong to the
 * caller's `tidy`. Projections are `[in, out]`.
 *
 * Shape letters: B sequences, T tokens, P earlier tokens, C dModel, H heads, G key–value heads, D dHead, V dVocab.
 */
import * as tf from '@tensorflow/tfjs-core';
import type { ModelConfig } from '../contract/model.ts';
import { type Decoder, decoderOf } from '../contract/modelDecoder.ts';
import { linear } from '../linear.ts';
import { gatherRows } from '../ops.ts';
import type { Tensors } from '../step/stepper.ts';
import { tidied } from '../tidied.ts';
import {
  attend,
  causalSight,
  type Heads,
  type KeyValues,
  packedSight,
  type SharedPrefix,
  type Sight,
} from './attention.ts';
import { activate, gated, layerNorm, rmsNorm, softCap, timesTransposed } from './layers.ts';
import { rotate } from './rotary.ts';

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

/** Which blocks run, and with what. */
export interface Passage {
  /** First block; 0 if left out. */
  from?: number;
  /** Last block; that of the model if left out. */
  to?: number;
  hook?: ResidHook | undefined;
  /** By block, what it kept of the P earlier tokens. */
  past?: readonly KeyValues[];
  /** Whether `past` is freed, block by block, so that no more than one block's is there twice. */
  spends?: boolean;
  /** Whether to return what later tokens need. */
  keeps?: boolean;
}

/** Logits of the next token at every position; `tokens [B, T]` int32 → `[B, T, V]`. */
export function logits(config: ModelConfig, weights: Tensors, tokens: tf.Tensor2D): tf.Tensor3D {
  const last = config.nLayers - 1;
  return logitsFromResid(config, weights, residPost(config, weights, tokens, last), last);
}

/** Logits of the next token at the `wanted [R]` rows of `packBatch`'s batch of sequences of at most T inputs: `[R, V]`. */
export function packedLogits(config: ModelConfig, weights: Tensors, batch: Tensors, T: number): tf.Tensor2D {
  const { tokens, places, ends, wanted } = batch as Record<string, tf.Tensor1D>;
  const [N, R] = [tokens!.size, wanted!.size];
  const sight = packedSight(places!, ends!, T);
  const x = embed(config, weights, tf.reshape(tokens!, [1, N]), sight);
  const { resid } = runBlocks(config, weights, x, sight, {}); // [1, N, C]
  const rows = gatherRows(tf.reshape(resid, [N, config.dModel]), wanted!);
  const z = unembed(config, weights, tf.reshape(rows, [1, R, config.dModel]));
  return tf.reshape(z, [R, config.dVocab]);
}

/**
 * `blocks.{layer}.resid_post`: runs blocks 0 … layer only, none for −1; `tokens [B, T]` int32, behind the prefix if there
 * is one → `[B, T, C]`.
 */
export function residPost(
  config: ModelConfig,
  weights: Tensors,
  tokens: tf.Tensor2D,
  layer: number,
  prefix: SharedPrefix | null = null,
): tf.Tensor3D {
  const sight = causalSight(...tokens.shape, prefix);
  return runBlocks(config, weights, embed(config, weights, tokens, sight), sight, { to: layer }).resid;
}

/** Runs the blocks above `layer` and the unembedding; `resid [B, T, C]` → `[B, T, V]`. */
export function logitsFromResid(
  config: ModelConfig,
  weights: Tensors,
  resid: tf.Tensor3D,
  layer: number,
  prefix: SharedPrefix | null = null,
): tf.Tensor3D {
  const sight = causalSight(resid.shape[0], resid.shape[1], prefix);
  return unembed(config, weights, runBlocks(config, weights, resid, sight, { from: layer + 1 }).resid);
}

/** What enters the first block; `tokens [B, T]` int32 → `[B, T, C]`. */
export function embed(
  config: ModelConfig,
  weights: Tensors,
  tokens: tf.Tensor2D,
  { places, first }: Sight,
): tf.Tensor3D {
  const { embeddingScale, rotary } = decoderOf(config);
  const [B, T] = tokens.shape;
  const table = weights['wte.weight'] as tf.Tensor2D; // [V, C]
  const rows = tf.reshape(gatherRows(table, tf.reshape(tokens, [B * T])), [B, T, config.dModel]);
  const x = (embeddingScale === 1 ? rows : tf.mul(rows, embeddingScale)) as tf.Tensor3D;
  if (rotary) return x;
  const learned = weights['wpe.weight'] as tf.Tensor2D; // [nCtx, C]
  const positions = places
    ? tf.reshape(gatherRows(learned, places()), [B, T, config.dModel])
    : tf.slice2d(learned, [first, 0], [T, config.dModel]);
  return tf.add(x, positions);
}

/** Final norm and unembedding; `x [B, T, C]` → `[B, T, V]`. */
export function unembed(config: ModelConfig, weights: Tensors, x: tf.Tensor3D): tf.Tensor3D {
  const [B, T, C] = x.shape;
  const { tied, logitCap } = decoderOf(config);
  const normed = norm(config, weights, 'ln_f', tf.reshape(x, [B * T, C])); // [B·T, C]
  const table = weights[tied ? 'wte.weight' : 'lm_head.weight'] as tf.Tensor2D; // [V, C]
  return tf.reshape(softCap(timesTransposed(normed, table), logitCap), [B, T, config.dVocab]);
}

/** The loop over blocks; `x [B, T, C]` → `resid [B, T, C]`, and by block what later tokens need of these. */
export function runBlocks(
  config: ModelConfig,
  weights: Tensors,
  x: tf.Tensor3D,
  sight: Sight,
  { from = 0, to = config.nLayers - 1, hook, past = [], spends = false, keeps = false }: Passage,
): { resid: tf.Tensor3D; cache: KeyValues[] } {
  const [B, T, C] = x.shape;
  const flat = (resid: tf.Tensor3D) => tf.reshape(resid, [B * T, C]) as tf.Tensor2D;
  const whole = (resid: tf.Tensor2D) => tf.reshape(resid, [B, T, C]) as tf.Tensor3D;
  const hooked = (layer: number, resid: tf.Tensor2D) =>
    hook?.layer === layer ? flat(hook.apply(whole(resid))) : resid;
  const cache: KeyValues[] = [];
  let resid = hooked(from - 1, flat(x));
  for (let layer = from; layer <= to; layer++) {
    const before = resid;
    // What a block computes on the way is freed behind it: of all blocks together it is many times the weights.
    const after = tidied(() => {
      const output = block(config, weights, layer, before, { sight, past: past[layer], keeps });
      // Copies of what the previous state holds as well are freed with each state by itself.
      const present = keeps ? output.present.map((part) => part.clone()) : [];
      return { resid: hooked(layer, output.resid), present, shared: sight.made() };
    });
    before.dispose();
    if (spends) tf.dispose(past[layer] as tf.Tensor[]);
    resid = after.resid;
    if (keeps) cache.push(after.present);
  }
  return { resid: whole(resid), cache };
}

/** One transformer block; `x [B·T, C]` → `resid [B·T, C]`, with what later tokens need of these. */
function block(
  config: ModelConfig,
  weights: Tensors,
  layer: number,
  x: tf.Tensor2D,
  { sight, past, keeps }: { sight: Sight; past: KeyValues | undefined; keeps: boolean },
): { resid: tf.Tensor2D; present: KeyValues } {
  const decoder = decoderOf(config);
  const name = `h.${layer}`;
  const normed = (part: string, input: tf.Tensor2D) => norm(config, weights, `${name}.${part}`, input);
  const written = (part: string, output: tf.Tensor2D) =>
    decoder.normsOutputs ? normed(`${part}_out`, output) : output;
  const qkv = queriesKeysValues(config, weights, layer, normed('ln_1', x), sight); // [B·T, (H + 2G)·D]
  const shared = sight.prefix?.keyValues[layer];
  const { mixed, present } = attend(qkv, headsOf(config, layer), sight, past, keeps, shared); // [B·T, H·D]
  const attended = written('ln_1', project(weights, `${name}.attn.c_proj`, mixed));
  const middle = tf.add(x, attended) as tf.Tensor2D;
  if (layer < (decoder.mlp.missing ?? 0)) return { resid: middle, present };
  const hidden = mlp(decoder, weights, name, normed('ln_2', decoder.parallel ? x : middle)); // [B·T, dMlp]
  return { resid: tf.add(middle, written('ln_2', project(weights, `${name}.mlp.c_proj`, hidden))), present };
}

/** What attention of a block reads: projected, normed by head and rotated as the row says. */
function queriesKeysValues(
  config: ModelConfig,
  weights: Tensors,
  layer: number,
  x: tf.Tensor2D,
  sight: Sight,
): tf.Tensor2D {
  const { attention, rotary } = decoderOf(config);
  const { nKeyValueHeads: G, dHead: D, normsQueriesKeys, window } = attention;
  const name = `h.${layer}.attn`;
  const projected = project(weights, `${name}.c_attn`, x);
  const qkv = normsQueriesKeys ? normHeads(config, weights, name, projected) : projected;
  const rotation = (window?.layers.includes(layer) && window.rotary) || rotary;
  return rotation ? rotate(qkv, sight.turns(rotation), { heads: config.nHeads + G, dHead: D }) : qkv;
}

/** Norms queries and keys head by head; `qkv [B·T, (H + 2G)·D]` → the same shape. */
function normHeads(config: ModelConfig, weights: Tensors, name: string, qkv: tf.Tensor2D): tf.Tensor2D {
  const { nKeyValueHeads: G, dHead: D } = decoderOf(config).attention;
  const [q, k, v] = tf.split(qkv, [config.nHeads * D, G * D, G * D], 1) as [
    tf.Tensor2D,
    tf.Tensor2D,
    tf.Tensor2D,
  ];
  const normed = (part: 'q' | 'k', input: tf.Tensor2D) => {
    const rows = tf.reshape(input, [-1, D]) as tf.Tensor2D;
    return tf.reshape(norm(config, weights, `${name}.${part}_norm`, rows), input.shape) as tf.Tensor2D;
  };
  return tf.concat2d([normed('q', q), normed('k', k), v], 1);
}

/** The heads of one block. */
export function headsOf({ nHeads, ...config }: ModelConfig, layer: number): Heads {
  const { nKeyValueHeads, dHead, scale, cap, window } = decoderOf({ nHeads, ...config }).attention;
  return {
    ...{ nHeads, nKeyValueHeads, cap, scale: scale ?? 1 / Math.sqrt(dHead) },
    window: window?.layers.includes(layer) ? window.size : null,
  };
}

/** The MLP's hidden layer; `x [B·T, C]` → `[B·T, dMlp]`. */
function mlp({ mlp: row }: Decoder, weights: Tensors, name: string, x: tf.Tensor2D): tf.Tensor2D {
  const up = project(weights, `${name}.mlp.c_fc`, x);
  if (!row.gated) return activate(row.activation, up);
  return gated(row.activation, project(weights, `${name}.mlp.c_gate`, x), up);
}

function project(weights: Tensors, name: string, x: tf.Tensor2D): tf.Tensor2D {
  return linear(x, weights[`${name}.weight`] as tf.Tensor2D, weights[`${name}.bias`] ?? null);
}

function norm(config: ModelConfig, weights: Tensors, name: string, x: tf.Tensor2D): tf.Tensor2D {
  const gain = weights[`${name}.weight`]!;
  const { norm: kind } = decoderOf(config);
  if (kind === 'LAYER') return layerNorm(x, gain, weights[`${name}.bias`]!, config.layerNormEps);
  return rmsNorm(x, kind === 'RMS' ? gain : tf.add(gain, 1), config.layerNormEps);
}
