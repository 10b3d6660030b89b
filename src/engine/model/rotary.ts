/** Rotary positions (Su et al. 2021) and the frequencies of their variants for long contexts. */
import * as tf from '@tensorflow/tfjs-core';
import type { Rotary, RotaryScaling } from '../contract/modelDecoder.ts';
import { attribute, hasKernels, rawOp } from '../native/rawOps.ts';

/** Cosine and sine of every position's angles, `[positions, dims / 2]`. */
export interface Turns {
  cos: tf.Tensor2D;
  sin: tf.Tensor2D;
}

/** Computed as float32 as PyTorch does. */
export function turnsAt(rotary: Rotary, positions: readonly number[]): Turns {
  const frequencies = rotaryFrequencies(rotary);
  const factor = rotary.scaling?.kind === 'YARN' ? rotary.scaling.attentionFactor : 1;
  const cos = new Float32Array(positions.length * frequencies.length);
  const sin = new Float32Array(cos.length);
  positions.forEach((position, row) => {
    frequencies.forEach((frequency, i) => {
      const angle = Math.fround(position * frequency);
      cos[row * frequencies.length + i] = Math.cos(angle) * factor;
      sin[row * frequencies.length + i] = Math.sin(angle) * factor;
    });
  });
  const shape: [number, number] = [positions.length, frequencies.length];
  return { cos: tf.tensor2d(cos, shape), sin: tf.tensor2d(sin, shape) };
}

/** Which part of rows is turned. */
export interface Turned {
  /** Heads from the left; those behind stay as they are. */
  heads: number;
  /** Numbers a head. */
  dHead: number;
}

/**
 * Turns the first `dims` numbers of the heads by the angles of their token's position; `x [rows, n·dHead]` → the same
 * shape. Row i stands at the position i mod `positions` of the turns.
 */
export function rotate(x: tf.Tensor2D, turns: Turns, { heads, dHead }: Turned): tf.Tensor2D {
  if (!hasKernels()) return plainRotate(x, turns, { heads, dHead });
  const attributes = (sign: number) => [
    attribute.int('heads', heads),
    attribute.int('size', dHead),
    attribute.int('sign', sign),
  ];
  const { cos, sin } = turns;
  const op = tf.customGrad((...args) => {
    const [x, save] = args as unknown as [tf.Tensor, tf.GradSaveFunc];
    save([cos, sin]);
    const gradFunc = (dy: tf.Tensor, saved: tf.Tensor[]) =>
      rawOp('AlignsaeRotary', attributes(-1), [dy, ...saved]);
    return { value: rawOp('AlignsaeRotary', attributes(1), [x, cos, sin]), gradFunc };
  });
  return op(x) as tf.Tensor2D;
}

function plainRotate(x: tf.Tensor2D, { cos, sin }: Turns, { heads, dHead: D }: Turned): tf.Tensor2D {
  const [rows, width] = x.shape;
  const [P, half] = cos.shape;
  const n = rows / P;
  const turned = tf.reshape(tf.slice2d(x, [0, 0], [rows, heads * D]), [n, P, heads, D]) as tf.Tensor4D;
  const part = (from: number, size: number) => tf.slice4d(turned, [0, 0, 0, from], [n, P, heads, size]);
  const [c, s] = [cos, sin].map((angles) => tf.reshape(angles, [1, P, 1, half])) as [tf.Tensor, tf.Tensor];
  const [a, b] = [part(0, half), part(half, half)];
  const pairs = [tf.sub(tf.mul(a, c), tf.mul(b, s)), tf.add(tf.mul(b, c), tf.mul(a, s))] as tf.Tensor4D[];
  const rest = D > 2 * half ? [part(2 * half, D - 2 * half)] : [];
  const whole = tf.reshape(tf.concat4d([...pairs, ...rest], 3), [rows, heads * D]) as tf.Tensor2D;
  if (heads * D === width) return whole;
  return tf.concat2d([whole, tf.slice2d(x, [0, heads * D], [rows, width - heads * D])], 1);
}

/** Radians a position, by pair of numbers, `dims / 2` of them. */
export function rotaryFrequencies({ dims, base, scaling }: Rotary): Float32Array {
  const plain = Float32Array.from({ length: dims / 2 }, (_, i) => 1 / base ** ((2 * i) / dims));
  switch (scaling?.kind) {
    case undefined:
      return plain;
    case 'LINEAR':
      return plain.map((frequency) => frequency / scaling.factor);
    case 'LLAMA3':
      return plain.map((frequency) => llama3Frequency(frequency, scaling));
    case 'YARN':
      return yarnFrequencies(plain, { dims, base }, scaling);
  }
}

/** Long waves are stretched, short ones kept, those between stretched in part (Llama 3.1). */
function llama3Frequency(
  frequency: number,
  {
    factor,
    lowFrequencyFactor: low,
    highFrequencyFactor: high,
    originalContext,
  }: RotaryScaling & { kind: 'LLAMA3' },
): number {
  const waves = (originalContext * frequency) / (2 * Math.PI);
  if (waves < low) return frequency / factor;
  if (waves > high) return frequency;
  const kept = (waves - low) / (high - low);
  return (1 - kept) * (frequency / factor) + kept * frequency;
}

/** YaRN (Peng et al. 2023): a ramp over the pairs from kept to stretched. */
function yarnFrequencies(
  plain: Float32Array,
  { dims, base }: { dims: number; base: number },
  { factor, originalContext, betaFast, betaSlow, truncate }: RotaryScaling & { kind: 'YARN' },
): Float32Array {
  const pairOf = (rotations: number) =>
    (dims * Math.log(originalContext / (rotations * 2 * Math.PI))) / (2 * Math.log(base));
  const round = (value: number, how: (value: number) => number) => (truncate ? how(value) : value);
  const low = Math.max(round(pairOf(betaFast), Math.floor), 0);
  const high = Math.min(round(pairOf(betaSlow), Math.ceil), dims - 1);
  const span = high === low ? 0.001 : high - low;
  return plain.map((frequency, i) => {
    const stretched = Math.min(1, Math.max(0, (i - low) / span));
    return (frequency / factor) * stretched + frequency * (1 - stretched);
  });
}
