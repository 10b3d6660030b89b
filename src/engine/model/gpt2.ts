/**
 * The GPT-2 architecture: learned positions, pre-layer-norm blocks, tanh GELU, unembedding tied to the
 * embedding. Everything here is a pure function of weights and tokens, built of tensor operations with static
 * shapes, so it runs eagerly on any backend and compiles into a training step. Intermediate tensors belong to
 * the caller's `tidy`. Weights have Hugging Face's GPT-2 names and layouts (`Conv1D`: `[in, out]`).
 *
 * Shape letters: B sequences, T tokens, P earlier tokens, C dModel, H heads, D = C / H, V dVocab.
 */
import * as tf from '@tensorflow/tfjs-core';
import type { ModelConfig } from '../contract/model.ts';
import { linear } from '../linear.ts';
import { gatherRows } from '../ops.ts';
import type { Tensors } from '../step/stepper.ts';
import { attend, causalSight, type KeyValues, type Sight } from './attention.ts';
import { gelu, layerNorm, timesTransposed } from './layers.ts';

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
  const normed = norm(config, weights, 'ln_f', tf.reshape(x, [B * T, C])); // [B·T, C]
  const table = weights['wte.weight'] as tf.Tensor2D; // [V, C]
  return tf.reshape(timesTransposed(normed, table), [B, T, config.dVocab]);
}

/** Blocks `from` … `to` with causal attention. */
function runBlocks(
  config: ModelConfig,
  weights: Tensors,
  x: tf.Tensor3D,
  from: number,
  to: number,
): tf.Tensor3D {
  const [B, T, C] = x.shape;
  const sight = causalSight(B, T);
  let resid = tf.reshape(x, [B * T, C]) as tf.Tensor2D;
  for (let layer = from; layer <= to; layer++) resid = block(config, weights, layer, resid, sight).resid;
  return tf.reshape(resid, [B, T, C]);
}

/**
 * One transformer block; `x [B·T, C]` → `resid [B·T, C]`, with what later tokens need of these; `past` is that of
 * earlier ones.
 */
export function block(
  config: ModelConfig,
  weights: Tensors,
  layer: number,
  x: tf.Tensor2D,
  sight: Sight,
  past?: KeyValues,
): { resid: tf.Tensor2D; present: KeyValues } {
  const name = `h.${layer}`;
  const project = (part: string, input: tf.Tensor2D) =>
    linear(input, weights[`${name}.${part}.weight`] as tf.Tensor2D, weights[`${name}.${part}.bias`]!);
  const qkv = project('attn.c_attn', norm(config, weights, `${name}.ln_1`, x)); // [B·T, 3C]
  const { mixed, present } = attend(qkv, config.nHeads, sight, past); // [B·T, C]
  const middle = tf.add(x, project('attn.c_proj', mixed)) as tf.Tensor2D;
  const hidden = gelu(project('mlp.c_fc', norm(config, weights, `${name}.ln_2`, middle))); // [B·T, dMlp]
  return { resid: tf.add(middle, project('mlp.c_proj', hidden)), present };
}

function norm(config: ModelConfig, weights: Tensors, name: string, x: tf.Tensor2D): tf.Tensor2D {
  return layerNorm(x, weights[`${name}.weight`]!, weights[`${name}.bias`]!, config.layerNormEps);
}
