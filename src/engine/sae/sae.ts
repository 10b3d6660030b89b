/**
 * The sparse autoencoder: one linear encoder and decoder whose first `nFree` latents are free and whose last
 * `nConcepts` latents are slots, slot k dedicated to concept k. Pure functions of weights and inputs, so they run
 * eagerly on any backend and compile into a training step; intermediate tensors belong to the caller's `tidy`.
 *
 * Shape letters: B rows, C nConcepts, M rows of one concept, H valueHidden, V dVocab.
 */
import * as tf from '@tensorflow/tfjs-core';
import { createRandom } from '../random.ts';
import type { Arrays, ArrayValue, Tensors } from '../step/stepper.ts';
import { topK } from './ops.ts';
import type { EncoderActivation } from './settings.ts';

/** What decides the shapes of an SAE's weights and how its free latents fire. */
export interface SaeConfig {
  dModel: number;
  nFree: number;
  nConcepts: number;
  activation: EncoderActivation;
  /** Active free latents a row, for `TOPK`. */
  k: number;
  /** Null when the SAE has no value heads. */
  valueHeads: { hidden: number; dVocab: number } | null;
}

/** Latents of a batch: `free [B, nFree]` after the activation, `slots [B, nConcepts]`, which are linear. */
export interface Latents {
  free: tf.Tensor2D;
  slots: tf.Tensor2D;
}

/** Scale of a fresh decoder against its encoder's transpose: 518 latents at 0.3 start near ‖x̂‖ = ‖x‖. */
const DECODER_SCALE = 0.3;

/** Names of the weights that encode and decode; the others belong to the value heads. */
export const AUTOENCODER_WEIGHTS = ['encoder.weight', 'encoder.bias', 'decoder.weight', 'decoder.bias'];

/** Names of the value heads' weights. */
export const VALUE_WEIGHTS = [
  'value.hidden.weight',
  'value.hidden.bias',
  'value.out.weight',
  'value.out.bias',
];

/** Every weight's name and shape. */
export function saeShapes({ dModel, nFree, nConcepts, valueHeads }: SaeConfig): Record<string, number[]> {
  const nLatents = nFree + nConcepts;
  const shapes: Record<string, number[]> = {
    'encoder.weight': [dModel, nLatents],
    'encoder.bias': [nLatents],
    'decoder.weight': [nLatents, dModel],
    'decoder.bias': [dModel],
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

/** Latents of normalised activations; `x [B, dModel]`. */
export function encode(config: SaeConfig, weights: Tensors, x: tf.Tensor2D): Latents {
  const { nFree, nConcepts } = config;
  const [B] = x.shape;
  const pre = tf.add(tf.matMul(x, weights['encoder.weight'] as tf.Tensor2D), weights['encoder.bias']!);
  const free = tf.slice2d(pre as tf.Tensor2D, [0, 0], [B, nFree]); // [B, nFree]
  const slots = tf.slice2d(pre as tf.Tensor2D, [0, nFree], [B, nConcepts]); // [B, C]
  return { free: activate(config, free), slots };
}

function activate({ activation, k }: SaeConfig, pre: tf.Tensor2D): tf.Tensor2D {
  if (activation === 'RELU') return tf.relu(pre);
  return activation === 'TOPK' ? topK(pre, k) : pre;
}

/** Reconstruction of normalised activations from latents → `[B, dModel]`. */
export function decode(weights: Tensors, { free, slots }: Latents): tf.Tensor2D {
  const latents = tf.concat2d([free, slots], 1); // [B, nFree + C]
  const product = tf.matMul(latents, weights['decoder.weight'] as tf.Tensor2D);
  return tf.add(product, weights['decoder.bias']!);
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
  const hidden = tf.relu(
    tf.add(
      tf.mul(bound, tf.expandDims(weights['value.hidden.weight']!, 1)),
      tf.expandDims(weights['value.hidden.bias']!, 1),
    ),
  ); // [C, M, H]
  const out = tf.matMul(hidden as tf.Tensor3D, weights['value.out.weight'] as tf.Tensor3D); // [C, M, V]
  return tf.reshape(tf.add(out, tf.expandDims(weights['value.out.bias']!, 1)), [C * M, dVocab]);
}
