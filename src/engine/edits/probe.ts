/**
 * A linear probe (Alain & Bengio 2016): multinomial logistic regression of the concept on activations, by full-batch Adam
 * on mean cross-entropy + penalty / 2 · |W|². The problem is convex, so nothing is drawn.
 */
import * as tf from '@tensorflow/tfjs-core';
import type { CapturedPrompt } from '../align/captured.ts';
import { cosineShare } from '../model/schedule.ts';
import { stackRows } from '../rows.ts';
import { type Normalization, normalize } from '../sae/normalization.ts';
import { strongest } from '../sae/validation.ts';
import { createAdam } from './adam.ts';

/** L2 penalties tried, of which the one that reads best the prompts to choose by is kept; of equals the largest. */
const PENALTIES = [1e-1, 1e-2, 1e-3, 1e-4];
const STEPS = 300;
const RATE = 0.05;
const [BETA1, BETA2] = [0.9, 0.999];

export interface Probe {
  penalty: number;
  /** Of normalised activations, concept by concept, `[nConcepts][dModel]`. */
  weights: Float32Array[];
  /** `[nConcepts]`. */
  bias: Float32Array;
}

interface Examples {
  /** Normalised, `[n, dModel]`. */
  x: Float32Array;
  concepts: readonly number[];
}

/** The probe that is fitted on `learned` prompts and chosen on the others. */
export async function fitProbe(
  learned: readonly CapturedPrompt[],
  chosenBy: readonly CapturedPrompt[],
  nConcepts: number,
  normalization: Normalization,
  breathe: () => Promise<unknown>,
): Promise<{ probe: Probe; chosenBy: { trials: number; successes: number } }> {
  const train = examplesOf(learned, normalization);
  let best: { probe: Probe; chosenBy: { trials: number; successes: number } } | null = null;
  for (const penalty of PENALTIES) {
    const probe = await fitOne(train, nConcepts, penalty, breathe);
    const read = readWith(probe, chosenBy, normalization);
    if (!best || read.successes > best.chosenBy.successes) best = { probe, chosenBy: read };
  }
  return best!;
}

/** Prompts read, and those whose own concept has the largest logit. */
export function readWith(
  { weights, bias }: Probe,
  prompts: readonly CapturedPrompt[],
  normalization: Normalization,
): { trials: number; successes: number } {
  let successes = 0;
  for (const { h, concepts } of prompts) {
    const x = normalize(h, normalization);
    const logits = weights.map((w, concept) => {
      let sum = bias[concept]!;
      for (let j = 0; j < w.length; j++) sum += w[j]! * x[j]!;
      return sum;
    });
    if (strongest(logits, 0, logits.length) === concepts[0]) successes++;
  }
  return { trials: prompts.length, successes };
}

function examplesOf(prompts: readonly CapturedPrompt[], normalization: Normalization): Examples {
  const x = normalize(stackRows(prompts, prompts[0]!.h.length), normalization);
  return { x, concepts: prompts.map(({ concepts }) => concepts[0]!) };
}

async function fitOne(
  { x, concepts }: Examples,
  nConcepts: number,
  penalty: number,
  breathe: () => Promise<unknown>,
): Promise<Probe> {
  const [n, C, K] = [concepts.length, x.length / concepts.length, nConcepts];
  const data = tf.tidy(() => ({
    x: tf.tensor2d(x, [n, C]),
    y: tf.oneHot(tf.tensor1d([...concepts], 'int32'), K).toFloat() as tf.Tensor2D,
  }));
  const w = new Float32Array(C * K);
  const bias = new Float32Array(K);
  const adamW = createAdam(w.length, BETA1, BETA2);
  const adamBias = createAdam(K, BETA1, BETA2);
  for (let step = 1; step <= STEPS; step++) {
    const gradients = tf.tidy(() => {
      const logits = tf.add(tf.matMul(data.x, tf.tensor2d(w, [C, K])), tf.tensor1d(bias));
      const error = tf.div(tf.sub(tf.softmax(logits), data.y), n) as tf.Tensor2D; // [n, K]
      return [tf.matMul(data.x, error, true), tf.sum(error, 0)];
    });
    const [dw, db] = gradients.map((gradient) => gradient.dataSync<'float32'>());
    tf.dispose(gradients);
    const rate = RATE * cosineShare(step, STEPS);
    adamW(
      w,
      dw!.map((g, i) => g + penalty * w[i]!),
      rate,
      step,
    );
    adamBias(bias, db!, rate, step);
    if (step % 16 === 0) await breathe();
  }
  tf.dispose(data);
  const weights = Array.from({ length: K }, (_, c) =>
    Float32Array.from({ length: C }, (_, j) => w[j * K + c]!),
  );
  return { penalty, weights, bias };
}
