/** Rotary positions (Su et al. 2021) and the frequencies of their variants for long contexts. */
import * as tf from '@tensorflow/tfjs-core';
import type { Rotary, RotaryScaling } from '../contract/modelDecoder.ts';

/**
 * Turns the first `dims` numbers of each head by the angles of its token's position; `x [B, T, n, D]` → `[B, T, n, D]`.
 * @param places Position of the one token of each sequence; null: tokens stand at 0 … T − 1.
 */
export function rotate(x: tf.Tensor4D, rotary: Rotary, places: readonly number[] | null): tf.Tensor4D {
  const [B, T, n, D] = x.shape;
  const half = rotary.dims / 2;
  const positions = places ?? Array.from({ length: T }, (_, place) => place);
  const { cos, sin } = turns(rotary, positions, places ? [B, 1, 1, half] : [1, T, 1, half]);
  const part = (from: number, width: number) => tf.slice4d(x, [0, 0, 0, from], [B, T, n, width]);
  const [a, b] = [part(0, half), part(half, half)];
  const turned = [tf.sub(tf.mul(a, cos), tf.mul(b, sin)), tf.add(tf.mul(b, cos), tf.mul(a, sin))];
  const rest = D > rotary.dims ? [part(rotary.dims, D - rotary.dims)] : [];
  return tf.concat4d([...(turned as tf.Tensor4D[]), ...rest], 3);
}

/** Cosine and sine of every position's angles, computed as float32 as PyTorch does. */
function turns(rotary: Rotary, positions: readonly number[], shape: [number, number, number, number]) {
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
  return { cos: tf.tensor4d(cos, shape), sin: tf.tensor4d(sin, shape) };
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
