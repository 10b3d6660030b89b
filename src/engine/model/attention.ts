/**
 * Causal attention of all heads together, from the projected queries, keys and values: one op of the addon's kernels
 * each way, or elsewhere plain ops. Shape letters as in `gpt2.ts`.
 */
import * as tf from '@tensorflow/tfjs-core';
import { attribute, hasKernels, rawOp, rawOps } from '../native/rawOps.ts';

/** What one block keeps of earlier tokens; sequences are axis 0 of each tensor. Only `attend` knows what is in it. */
export type KeyValues = readonly tf.Tensor[];

/** Which tokens are there and what they may look at; made once for all blocks. */
export interface Sight {
  B: number;
  T: number;
  /** Kernels take the prompts' lengths, plain ops a mask that is added to the scores; null where nothing hides. */
  hidden: tf.Tensor | null;
}

/** Every token sees itself and those before it; padding stands at the right, so nothing real sees it. */
export function causalSight(B: number, T: number): Sight {
  return { B, T, hidden: hasKernels() ? null : causalMask(T) };
}

/** One new token of each sequence sees its prompt without the padding, and the `made` tokens since. */
export function cachedSight(lengths: readonly number[], width: number, made: number): Sight {
  const hidden = hasKernels()
    ? tf.tensor1d(lengths as number[], 'int32')
    : paddingMask(lengths, width, width + made + 1);
  return { B: lengths.length, T: 1, hidden };
}

/** `qkv [B·T, 3C]` → `mixed [B·T, C]`, what the heads read, and what later tokens need. */
export function attend(
  qkv: tf.Tensor2D,
  nHeads: number,
  sight: Sight,
  past?: KeyValues,
): { mixed: tf.Tensor2D; present: KeyValues } {
  if (!hasKernels()) return plainAttention(qkv, nHeads, sight, past);
  if (past) {
    const inputs = [qkv, ...past, sight.hidden!];
    const heads = attribute.int('heads', nHeads);
    const [mixed, made] = rawOps('AlignsaeDecodeAttention', [heads], inputs, 2) as [tf.Tensor2D, tf.Tensor];
    return { mixed, present: [past[0]!, made] };
  }
  const { B, T } = sight;
  const C3 = qkv.shape[1];
  const present = [tf.reshape(qkv, [B, T, C3]), tf.zeros([B, 0, (2 * C3) / 3])];
  return { mixed: causalAttention(qkv, nHeads, T), present };
}

function causalAttention(qkv: tf.Tensor2D, nHeads: number, T: number): tf.Tensor2D {
  const attributes = [attribute.int('heads', nHeads), attribute.int('length', T)];
  const op = tf.customGrad((...args) => {
    const [qkv, save] = args as unknown as [tf.Tensor, tf.GradSaveFunc];
    const [value, logSums] = rawOps('AlignsaeAttention', attributes, [qkv], 2) as [tf.Tensor, tf.Tensor];
    save([qkv, logSums]);
    const gradFunc = (dy: tf.Tensor, saved: tf.Tensor[]) =>
      rawOp('AlignsaeAttentionGradient', attributes, [dy, ...saved]);
    return { value, gradFunc };
  });
  return op(qkv) as tf.Tensor2D;
}

function plainAttention(
  qkv: tf.Tensor2D,
  nHeads: number,
  { B, T, hidden }: Sight,
  past?: KeyValues,
): { mixed: tf.Tensor2D; present: KeyValues } {
  const C = qkv.shape[1] / 3;
  const D = C / nHeads;
  // [B·T, C] → [B, H, T, D]; each part by itself, for wasm has no fast transpose of more than four axes
  const heads = (part: tf.Tensor) =>
    tf.transpose(tf.reshape(part, [B, T, nHeads, D]) as tf.Tensor4D, [0, 2, 1, 3]);
  const [q, kNew, vNew] = tf.split(qkv, 3, 1).map(heads) as [tf.Tensor4D, tf.Tensor4D, tf.Tensor4D];
  const [kPast, vPast] = (past ?? []) as tf.Tensor4D[];
  const k = kPast ? tf.concat([kPast, kNew], 2) : kNew; // [B, H, P + T, D]
  const v = vPast ? tf.concat([vPast, vNew], 2) : vNew; // [B, H, P + T, D]
  const scores = tf.mul(tf.matMul(q, k, false, true), 1 / Math.sqrt(D)); // [B, H, T, P + T]
  const pattern = tf.softmax(tf.add(scores, hidden!));
  const mixed = tf.transpose(tf.matMul(pattern, v), [0, 2, 1, 3]); // [B, H, T, D] → [B, T, H, D]
  return { mixed: tf.reshape(mixed, [B * T, C]), present: [k, v] };
}

/** `[T, T]`: 0 where a token may look (itself and before), −1e9 where it may not. */
function causalMask(T: number): tf.Tensor2D {
  const index = tf.range(0, T, 1, 'float32');
  const ahead = tf.greater(tf.expandDims(index, 0), tf.expandDims(index, 1)); // [query, key]
  return tf.mul(tf.cast(ahead, 'float32'), -1e9) as tf.Tensor2D;
}

/** `[B, 1, 1, total]`: −1e9 from a prompt's end to the width that prompts are padded to. */
function paddingMask(lengths: readonly number[], width: number, total: number): tf.Tensor4D {
  const mask = new Float32Array(lengths.length * total);
  lengths.forEach((length, i) => {
    mask.fill(-1e9, i * total + length, i * total + width);
  });
  return tf.tensor4d(mask, [lengths.length, 1, 1, total]);
}
