/** The replacement of one activation of each prompt while the model goes on. */
import * as tf from '@tensorflow/tfjs-core';
import { invalidInput } from '../../errors.ts';
import type { ModelConfig } from '../contract/model.ts';
import type { ResidHook } from './decoder.ts';
import type { Tokens } from './tokens.ts';

/** Replaces `blocks.{layer}.resid_post` at one position of each prompt; the blocks above see only the new value. */
export interface ResidEdit {
  /** −1 is the stream before the first block. */
  layer: number;
  /** `[prompts, dModel]`, row by row. */
  values: Float32Array;
  /** Token position in each prompt; absent means its last token. */
  positions?: readonly number[];
}

/** The edit of a batch of prompts as a hook of `prefill`; its row 0 is prompt `start` of the edit. */
export function replacing(
  { layer, values, positions }: ResidEdit,
  prompts: readonly Tokens[],
  start: number,
): ResidHook {
  return {
    layer,
    apply(x) {
      const [B, T, C] = x.shape;
      const chosen = new Float32Array(B * T);
      prompts.forEach((prompt, i) => {
        chosen[i * T + (positions?.[start + i] ?? prompt.length - 1)] = 1;
      });
      const at = tf.tensor3d(chosen, [B, T, 1]);
      const replacement = tf.tensor3d(values.subarray(start * C, (start + B) * C), [B, 1, C]);
      return tf.add(tf.mul(x, tf.sub(1, at)), tf.mul(replacement, at));
    },
  };
}

/** @throws {AppError} INVALID_INPUT when the layer, the number of values or a position does not fit the prompts. */
export function checkEdit(
  { nLayers, dModel }: ModelConfig,
  prompts: readonly Tokens[],
  { layer, values, positions }: ResidEdit,
): void {
  if (!Number.isInteger(layer) || layer < -1 || layer >= nLayers) {
    throw invalidInput(['edit', 'layer'], `layer must be -1 to ${nLayers - 1}, got ${layer}`);
  }
  if (values.length !== prompts.length * dModel) {
    const expected = `${prompts.length} × ${dModel}`;
    throw invalidInput(['edit', 'values'], `values must be ${expected} numbers, got ${values.length}`);
  }
  positions?.forEach((position, i) => {
    const length = prompts[i]?.length ?? 0;
    if (Number.isInteger(position) && position >= 0 && position < length) return;
    throw invalidInput(['edit', 'positions', String(i)], `position must be below ${length}, got ${position}`);
  });
}
