/** Sequences of token ids as the model takes them. */
import * as tf from '@tensorflow/tfjs-core';
import { invalidInput } from '../../errors.ts';
import { type LanguageModel, prefixOf } from './languageModel.ts';

/** Token ids of one sequence. */
export type Tokens = readonly number[];

/** `[B, T]` int32, padded at the right with token 0, which nothing real attends to. */
export function padTokens(sequences: readonly Tokens[], T: number): tf.Tensor2D {
  const ids = new Int32Array(sequences.length * T);
  sequences.forEach((sequence, i) => {
    ids.set(sequence, i * T);
  });
  return tf.tensor2d(ids, [sequences.length, T], 'int32');
}

/** Length of the longest sequence, the `T` of a batch that holds them all. */
export function longest(sequences: readonly Tokens[]): number {
  return sequences.reduce((length, sequence) => Math.max(length, sequence.length), 0);
}

/** @throws {AppError} INVALID_INPUT naming the first prompt that is empty or longer than the context. */
export function checkPrompts(model: LanguageModel, prompts: readonly Tokens[]): void {
  const { nCtx } = model.config;
  prompts.forEach((prompt, i) => {
    if (prompt.length >= 1 && prompt.length <= nCtx) return;
    throw invalidInput(
      ['prompts', String(i)],
      `prompt ${i} has ${prompt.length} tokens; the model reads 1 to ${nCtx}${behindPrefix(model)}`,
    );
  });
}

/** For messages about lengths: what is left out of them. */
export function behindPrefix(model: LanguageModel): string {
  const prefix = prefixOf(model);
  return prefix ? ` behind the dataset's prefix of ${prefix.tokens.length} tokens` : '';
}
