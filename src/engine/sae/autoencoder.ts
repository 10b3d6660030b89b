/**
 * The sparse autoencoder: one linear encoder and decoder whose first `nFree` latents are free and whose last
 * `nConcepts` latents are slots, slot k dedicated to concept k. Pure functions of weights and inputs, so they run
 * eagerly on any backend and compile into a training step; intermediate tensors belong to the caller's `tidy`.
 *
 * Shape letters: B rows, C nConcepts, M rows of one concept, H valueHidden, V dVocab.
 */
import * as tf from '@tensorflow/tfjs-core';
import { createRandom } from '../../random.ts';
import type { Arrays, ArrayValue } from '../contract/arrays.ts';
import { nLatentsOf, type SaeConfig } from '../contract/sae.ts';
import { linear } from '../linear.ts';
import type { Tensors } from '../step/stepper.ts';
import { aboveThreshold, relu, topKRelu } from './ops.ts';

/** Latents of a batch: `free [B, nFree]` after the activation, `slots [B, nConcepts]`, which are linear. */
export interface Latents {
  free: tf.Tensor2D;
  slots: tf.Tensor2D;
}

/** Scale of a fresh decoder against its encoder's transpose: 518 latents at 0.3 start near ‖x̂‖ = ‖x‖. */
const DECODER_SCALE = 0.3;

/** Names of the weights that encode and decode; the others belong to the value heads. */
export const AUTOENCODER_WEIGHTS = ['encoder.weight', 'encoder.bias', 'decoder.weight', 'decoder.bias'];

/**
 * The value that a free latent must exceed to fire. `BATCH_TOPK`: one for all, `[1]`, the mean over training batches of
 * the smallest value kept; `JUMP_RELU`: one each, `[nFree]`. No training step changes it.
 */
export const THRESHOLD = 'threshold';

/** Names of the value heads' weights. */
export const VALUE_WEIGHTS = [
  'value.hidden.weight',
  'value.hidden.bias',
  'value.out.weight',
  'value.out.bias',
];

/** Every weight's name and shape. */
export function saeShapes(config: SaeConfig): Record<string, number[]> {
  const { dModel, nConcepts, activation, valueHeads } = config;
  const nLatents = nLatentsOf(config);
  const shapes: Record<string, number[]> = {
    'encoder.weight': [dModel, nLatents],
    'encoder.bias': [nLatents],
    'decoder.weight': [nLatents, dModel],
    'decoder.bias': [dModel],
    ...(activation === 'BATCH_TOPK' && { [THRESHOLD]: [1] }),
    ...(activation === 'JUMP_RELU' && { [THRESHOLD]: [config.nFree] }),
  };
  if (!valueHeads) return shapes;
  const { hidden, dVocab } = valueHeads;
  return {
    ...shapes,
    'value.hidden.weight': [nConcepts, hidden],
    'value.hidden.bias': [nConcepts, hidden],
    'value.out.weight': [nConcepts, hidden, dVocab],
    'value.out.bias': [nConcepts, dVocab],
  };
}

/**
 * Initial weights: encoder normal with 1/√dModel, decoder its transpose, scaled (the authors tie them at the
 * start too); biases 0; value heads normal with 1/√(inputs).
 */
export function initSae(config: SaeConfig, seed: number): Arrays {
  const weights: Arrays = {};
  for (const [name, shape] of Object.entries(saeShapes(config))) {
    weights[name] = { data: new Float32Array(shape.reduce((product, size) => product * size, 1)), shape };
  }
  const fill = (name: string, std: number) => {
    const random = createRandom(seed, 'sae', name);
    const { data } = weights[name]!;
    for (let i = 0; i < data.length; i++) data[i] = std * random.normal();
  };
  fill('encoder.weight', 1 / Math.sqrt(config.dModel));
  transposeInto(weights['decoder.weight']!, weights['encoder.weight']!, DECODER_SCALE);
  if (config.valueHeads) {
    fill('value.hidden.weight', 1);
    fill('value.out.weight', 1 / Math.sqrt(config.valueHeads.hidden));
  }
  return weights;
}

function transposeInto(target: ArrayValue, source: ArrayValue, scale: number): void {
  const [rows, columns] = source.shape as [number, number];
  for (let i = 0; i < rows; i++) {
    for (let j = 0; j < columns; j++) target.data[j * rows + i] = scale * source.data[i * columns + j]!;
  }
}

/**
 * Latents of normalised activations `x [B, dModel]`, row by row: `TOPK` keeps the k largest that are above 0 (Gao et
 * al. 2024), `BATCH_TOPK` those above its threshold (a JumpReLU, as SAELens saves it).
 */
export function encode(config: SaeConfig, weights: Tensors, x: tf.Tensor2D): Latents {
  const { pre, slots } = preActivations(config, weights, x);
  return { free: activate(config, weights, pre), slots };
}

/** What `encode` computes before the activation: `all [B, nFree + C]`, and of it `pre [B, nFree]` and the slots. */
export function preActivations({ nFree, nConcepts }: SaeConfig, weights: Tensors, x: tf.Tensor2D) {
  const [B] = x.shape;
  const all = linear(x, weights['encoder.weight'] as tf.Tensor2D, weights['encoder.bias']!);
  if (nConcepts === 0) return { all, pre: all, slots: tf.zeros([B, 0]) as tf.Tensor2D };
  const [pre, slots] = tf.split(all, [nFree, nConcepts], 1) as [tf.Tensor2D, tf.Tensor2D];
  return { all, pre, slots };
}

/** The slots that `encode` has, `[B, C]`, without the free latents. */
export function encodeSlots(
  { dModel, nFree, nConcepts }: SaeConfig,
  weights: Tensors,
  x: tf.Tensor2D,
): tf.Tensor2D {
  const weight = tf.slice2d(weights['encoder.weight'] as tf.Tensor2D, [0, nFree], [dModel, nConcepts]);
  return linear(x, weight, tf.slice1d(weights['encoder.bias'] as tf.Tensor1D, nFree, nConcepts));
}

/** What is added to a reconstruction where so much is added to the slots, `[B, C]`: `[B, dModel]`. */
export function decodeSlots(
  { dModel, nFree, nConcepts }: SaeConfig,
  weights: Tensors,
  slots: tf.Tensor2D,
): tf.Tensor2D {
  const weight = tf.slice2d(weights['decoder.weight'] as tf.Tensor2D, [nFree, 0], [nConcepts, dModel]);
  return linear(slots, weight, null);
}

/** Free latents of their pre-activations `[B, nFree]`. */
export function activate({ activation, k }: SaeConfig, weights: Tensors, pre: tf.Tensor2D): tf.Tensor2D {
  switch (activation) {
    case 'LINEAR':
      return pre;
    case 'RELU':
      return relu(pre);
    case 'TOPK':
      return topKRelu(pre, k);
    case 'JUMP_RELU':
      return aboveThreshold(pre, weights[THRESHOLD]!);
    case 'BATCH_TOPK':
      return tf.mul(tf.relu(pre), tf.cast(tf.greater(pre, weights[THRESHOLD]!), 'float32'));
  }
}

/**
 * The same function with the free latents' decoder rows at length 1 and their lengths in the encoder, so that a latent
 * is as large as what it writes. Slots stay as they are: binding fixes their size. With `RELU` the function is the same
 * exactly; sparsity and top-k then count what latents write (Anthropic's update of April 2024; SAELens'
 * `rescale_acts_by_decoder_norm` and `fold_W_dec_norm`).
 */
export function foldDecoderNorm({ nFree, nConcepts }: SaeConfig, weights: Tensors): Tensors {
  const decoder = weights['decoder.weight']!; // [nFree + C, d]
  const lengths = tf.maximum(tf.sqrt(tf.sum(tf.square(decoder), 1)), 1e-8) as tf.Tensor1D;
  const free = tf.slice1d(lengths, 0, nFree);
  const scale = nConcepts === 0 ? free : tf.concat1d([free, tf.ones([nConcepts]) as tf.Tensor1D]);
  return {
    ...weights,
    'encoder.weight': tf.mul(weights['encoder.weight']!, scale),
    'encoder.bias': tf.mul(weights['encoder.bias']!, scale),
    'decoder.weight': tf.div(decoder, tf.expandDims(scale, 1)),
  };
}

/** Latents as one matrix, free ones first: `[B, nFree + C]`. */
export function joinLatents({ free, slots }: Latents): tf.Tensor2D {
  return slots.shape[1] === 0 ? free : tf.concat2d([free, slots], 1);
}

/** Reconstruction of normalised activations from latents → `[B, dModel]`. */
export function decode(weights: Tensors, latents: Latents): tf.Tensor2D {
  return decodeJoined(weights, joinLatents(latents));
}

/**
 * The same from one matrix `[B, nFree + C]`, of which the first `active` columns came out of an activation which passes
 * no gradient where it is 0: there their gradient may be left out.
 */
export function decodeJoined(weights: Tensors, latents: tf.Tensor2D, active = 0): tf.Tensor2D {
  return linear(latents, weights['decoder.weight'] as tf.Tensor2D, weights['decoder.bias']!, active);
}

/**
 * Logits of the answer's first token from each row's bound slot alone: scalar slot → hidden → ReLU → vocabulary,
 * one head a concept. Rows come in `C` equal groups, concept 0's first, so that every head computes only its own.
 * `slots [C · M, C]` → `[C · M, V]`.
 */
export function valueLogits(config: SaeConfig, weights: Tensors, slots: tf.Tensor2D): tf.Tensor2D {
  const { nConcepts: C } = config;
  const { dVocab } = config.valueHeads!;
  const M = slots.shape[0] / C;
  const own = tf.mul(tf.reshape(slots, [C, M, C]), tf.expandDims(tf.eye(C), 1)); // other slots → 0
  const bound = tf.sum(own, 2, true); // [C, M, 1]
  const first = tf.expandDims(weights['value.hidden.weight']!, 1) as tf.Tensor3D; // [C, 1, H]
  const hidden = relu(linear(bound as tf.Tensor3D, first, weights['value.hidden.bias']!)); // [C, M, H]
  const weight = weights['value.out.weight'] as tf.Tensor3D;
  const out = linear(hidden, weight, weights['value.out.bias']!); // [C, M, V]
  return tf.reshape(out, [C * M, dVocab]);
}
