/**
 * The GPT-2 architecture: learned positions, pre-layer-norm blocks, tanh GELU, unembedding tied to the
 * embedding. Everything here is a pure function of weights and tokens, built of tensor operations with static
 * shapes, so it runs eagerly on any backend and compiles into a training step. Intermediate tensors belong to
 * the caller's `tidy`. Weights have Hugging Face's GPT-2 names and layouts (`Conv1D`: `[in, out]`).
 *
 * Shape letters: B sequences, T tokens, P earlier tokens, C dModel, H heads, D = C / H, V dVocab.
 */
import * as tf from '@tensorflow/tfjs-core';
import { gatherRows } from '../ops.ts';
import type { Tensors } from '../step/stepper.ts';
import type { ModelConfig } from './job.ts';
import { gelu, layerNorm } from './layers.ts';

/** Keys and values of one block's attention, `[B, H, T, D]` each. */
export interface KeyValues {
  k: tf.Tensor4D;
  v: tf.Tensor4D;
}

/** Logits of the next token at every position; `tokens [B, T]` int32 → `[B, T, V]`. */
export function logits(config: ModelConfig, weights: Tensors, tokens: tf.Tensor2D): tf.Tensor3D {
  const last = config.nLayers - 1;
  return logitsFromResid(config, weights, residPost(config, weights, tokens, last), last);
}

/** `blocks.{layer}.resid_post`: runs blocks 0 … layer only, none for −1; `tokens [B, T]` int32 → `[B, T, C]`. */
export function residPost(
  config: ModelConfig,
  weights: Tensors,
  tokens: tf.Tensor2D,
  layer: number,
): tf.Tensor3D {
  const [, T] = tokens.shape;
  const positions = tf.slice2d(weights['wpe.weight'] as tf.Tensor2D, [0, 0], [T, config.dModel]); // [T, C]
  const x = tf.add(embed(weights, tokens), positions); // [B, T, C]
  return runBlocks(config, weights, x as tf.Tensor3D, 0, layer);
}

/** Runs the blocks above `layer` and the unembedding; `resid [B, T, C]` → `[B, T, V]`. */
export function logitsFromResid(
  config: ModelConfig,
  weights: Tensors,
  resid: tf.Tensor3D,
  layer: number,
): tf.Tensor3D {
  return unembed(config, weights, runBlocks(config, weights, resid, layer + 1, config.nLayers - 1));
}

/** Token embeddings without positions; `tokens [B, T]` int32 → `[B, T, C]`. */
export function embed(weights: Tensors, tokens: tf.Tensor2D): tf.Tensor3D {
  const table = weights['wte.weight'] as tf.Tensor2D; // [V, C]
  const [B, T] = tokens.shape;
  return tf.reshape(gatherRows(table, tf.reshape(tokens, [B * T])), [B, T, table.shape[1]]);
}

/** Final layer norm and tied unembedding; `x [B, T, C]` → `[B, T, V]`. */
export function unembed(config: ModelConfig, weights: Tensors, x: tf.Tensor3D): tf.Tensor3D {
  const [B, T, C] = x.shape;
  const normed = tf.reshape(norm(config, weights, 'ln_f', x), [B * T, C]); // [B·T, C]
  const table = weights['wte.weight'] as tf.Tensor2D; // [V, C]
  return tf.reshape(tf.matMul(normed as tf.Tensor2D, table, false, true), [B, T, config.dVocab]);
}

/** Blocks `from` … `to` with causal attention; padding stands at the right, so nothing real attends to it. */
function runBlocks(
  config: ModelConfig,
  weights: Tensors,
  x: tf.Tensor3D,
  from: number,
  to: number,
): tf.Tensor3D {
  const mask = causalMask(x.shape[1]);
  let resid = x;
  for (let layer = from; layer <= to; layer++) resid = block(config, weights, layer, resid, mask).resid;
  return resid;
}

/**
 * One transformer block; `x [B, T, C]` → `resid [B, T, C]`, with the keys and values it attended to.
 * `mask` is added to the attention scores and broadcasts to `[B, H, T, P + T]`; `past` holds P earlier tokens.
 */
export function block(
  config: ModelConfig,
  weights: Tensors,
  layer: number,
  x: tf.Tensor3D,
  mask: tf.Tensor,
  past?: KeyValues,
): { resid: tf.Tensor3D; present: KeyValues } {
  const name = `h.${layer}`;
  const { output, present } = attention(
    config,
    weights,
    `${name}.attn`,
    norm(config, weights, `${name}.ln_1`, x),
    mask,
    past,
  );
  const middle = tf.add(x, output) as tf.Tensor3D; // [B, T, C]
  const hidden = gelu(linear(weights, `${name}.mlp.c_fc`, norm(config, weights, `${name}.ln_2`, middle)));
  return { resid: tf.add(middle, linear(weights, `${name}.mlp.c_proj`, hidden)), present };
}

/** Multi-head attention; `x [B, T, C]` → `output [B, T, C]`. */
function attention(
  config: ModelConfig,
  weights: Tensors,
  name: string,
  x: tf.Tensor3D,
  mask: tf.Tensor,
  past?: KeyValues,
): { output: tf.Tensor3D; present: KeyValues } {
  const [B, T, C] = x.shape;
  const D = C / config.nHeads;
  // [B, T, C] → [B, H, T, D]; each part by itself, for wasm has no fast transpose of more than four axes
  const heads = (part: tf.Tensor) =>
    tf.transpose(tf.reshape(part, [B, T, config.nHeads, D]) as tf.Tensor4D, [0, 2, 1, 3]);
  const parts = tf.split(linear(weights, `${name}.c_attn`, x), 3, 2); // 3 × [B, T, C]
  const [q, kNew, vNew] = parts.map(heads) as [tf.Tensor4D, tf.Tensor4D, tf.Tensor4D];
  const k = past ? tf.concat([past.k, kNew], 2) : kNew; // [B, H, P + T, D]
  const v = past ? tf.concat([past.v, vNew], 2) : vNew; // [B, H, P + T, D]
  const scores = tf.mul(tf.matMul(q, k, false, true), 1 / Math.sqrt(D)); // [B, H, T, P + T]
  const pattern = tf.softmax(tf.add(scores, mask));
  const mixed = tf.transpose(tf.matMul(pattern, v), [0, 2, 1, 3]); // [B, H, T, D] → [B, T, H, D]
  const output = linear(weights, `${name}.c_proj`, tf.reshape(mixed, [B, T, C]) as tf.Tensor3D);
  return { output, present: { k, v } };
}

/** `x [B, T, in]` · `weight [in, out]` + `bias [out]` → `[B, T, out]`. */
function linear(weights: Tensors, name: string, x: tf.Tensor3D): tf.Tensor3D {
  const weight = weights[`${name}.weight`] as tf.Tensor2D;
  const [B, T, In] = x.shape;
  const y = tf.add(tf.matMul(tf.reshape(x, [B * T, In]) as tf.Tensor2D, weight), weights[`${name}.bias`]!);
  return tf.reshape(y, [B, T, weight.shape[1]]);
}

function norm(config: ModelConfig, weights: Tensors, name: string, x: tf.Tensor3D): tf.Tensor3D {
  return layerNorm(x, weights[`${name}.weight`]!, weights[`${name}.bias`]!, config.layerNormEps);
}

/** `[T, T]`: 0 where a token may look (itself and before), −1e9 where it may not. */
export function causalMask(T: number): tf.Tensor2D {
  const index = tf.range(0, T, 1, 'float32');
  const ahead = tf.greater(tf.expandDims(index, 0), tf.expandDims(index, 1)); // [query, key]
  return tf.mul(tf.cast(ahead, 'float32'), -1e9) as tf.Tensor2D;
}
