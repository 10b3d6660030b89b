/** How the next token is chosen from the logits of a batch. */
import * as tf from '@tensorflow/tfjs-core';
import { createRandom } from '../../random.ts';
import type { Sampling } from '../contract/generation.ts';

/** A chosen token. */
export interface Pick {
  id: number;
  /** The model's probability for it, at temperature 1. */
  probability: number;
}

/** The likeliest token of each row; `logits [B, V]`, which stays the caller's. */
export async function pickGreedy(logits: tf.Tensor2D): Promise<Pick[]> {
  const best = tf.argMax<tf.Tensor1D>(logits, 1);
  const top = tf.tidy(() => tf.max<tf.Tensor1D>(tf.softmax(logits), 1));
  const ids = await best.data<'int32'>();
  const probabilities = await top.data<'float32'>();
  tf.dispose([best, top]);
  return Array.from(ids, (id, i) => ({ id, probability: probabilities[i]! }));
}

/** Draws for prompts `start` … `start + count − 1`; keeps one random stream a prompt. */
export function pickSampled({ temperature, topK, seed }: Sampling, start: number, count: number) {
  const streams = Array.from({ length: count }, (_, i) => createRandom(seed, 'generate', start + i));
  return async (logits: tf.Tensor2D): Promise<Pick[]> => {
    const [, V] = logits.shape;
    const values = await logits.data<'float32'>();
    return streams.map((random, i) => {
      const row = values.subarray(i * V, (i + 1) * V);
      const id = draw(row, temperature, topK, random.next());
      return { id, probability: probabilityOf(row, id) };
    });
  };
}

/** The token in whose share of [0, 1) `uniform` falls, likeliest first. */
function draw(logits: Float32Array, temperature: number, topK: number | null, uniform: number): number {
  const ids = Array.from(logits, (_, id) => id);
  ids.sort((a, b) => logits[b]! - logits[a]! || a - b);
  if (topK !== null) ids.length = Math.min(topK, ids.length);
  const weights = ids.map((id) => Math.exp((logits[id]! - logits[ids[0]!]!) / temperature));
  let left = uniform * weights.reduce((sum, weight) => sum + weight, 0);
  for (const [i, weight] of weights.entries()) {
    left -= weight;
    if (left < 0) return ids[i]!;
  }
  return ids.at(-1)!;
}

function probabilityOf(logits: Float32Array, id: number): number {
  const max = logits.reduce((a, b) => Math.max(a, b), -Infinity);
  return Math.exp(logits[id]! - max) / logits.reduce((sum, logit) => sum + Math.exp(logit - max), 0);
}
