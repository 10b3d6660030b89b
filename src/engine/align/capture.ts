/** Reads `blocks.{layer}.resid_post` at chosen positions of many sequences: the activations an SAE is trained on. */
import { setImmediate as turnOfTheLoop } from 'node:timers/promises';
import * as tf from '@tensorflow/tfjs-core';
import { invalidInput } from '../../errors.ts';
import { residPost } from '../model/decoder.ts';
import { type LanguageModel, prefixOf } from '../model/languageModel.ts';
import { tokensAtOnce } from '../model/room.ts';
import { checkPrompts, longest, padTokens, type Tokens } from '../model/tokens.ts';
import { gatherRows } from '../ops.ts';

export interface CaptureOptions {
  /** −1 is the stream before the first block, `blocks.0.resid_pre`. */
  layer: number;
  /** Token positions of each sequence, in the order wanted; absent means the last token of each. */
  positions?: readonly (readonly number[])[];
  /** Most sequences computed together; results do not depend on it. */
  batchSize?: number;
  breathe?: () => Promise<unknown>;
}

/**
 * Captures activations of `sequences` (token ids) as `[rows, dModel]`, one row a position, sequence by sequence.
 * @throws {AppError} INVALID_INPUT for a layer, sequence or position that does not exist.
 */
export async function captureResidPost(
  model: LanguageModel,
  sequences: readonly Tokens[],
  options: CaptureOptions,
): Promise<Float32Array> {
  const { layer, batchSize = 256, breathe = turnOfTheLoop } = options;
  const { nLayers, dModel } = model.config;
  if (!Number.isInteger(layer) || layer < -1 || layer >= nLayers) {
    throw invalidInput(['layer'], `layer must be -1 to ${nLayers - 1}, got ${layer}`);
  }
  checkPrompts(model, sequences);
  const positions = options.positions ?? sequences.map((tokens) => [tokens.length - 1]);
  checkPositions(sequences, positions);
  const rows = positions.reduce((sum, chosen) => sum + chosen.length, 0);
  const activations = new Float32Array(rows * dModel);
  for (let start = 0, end = 0, offset = 0; start < sequences.length; start = end) {
    end = endOfBatch(sequences, start, batchSize, tokensAtOnce(model.config));
    const part = await captureBatch(model, layer, sequences.slice(start, end), positions.slice(start, end));
    activations.set(part, offset);
    offset += part.length;
    await breathe();
  }
  return activations;
}

/** Where a batch from `start` on ends: at least one sequence, padded to the longest. */
export function endOfBatch(
  sequences: readonly Tokens[],
  start: number,
  batchSize: number,
  maxTokens: number,
): number {
  let [end, width] = [start, 0];
  while (end < sequences.length && end - start < batchSize) {
    width = Math.max(width, sequences[end]!.length);
    if (end > start && (end - start + 1) * width > maxTokens) break;
    end++;
  }
  return end;
}

async function captureBatch(
  model: LanguageModel,
  layer: number,
  sequences: readonly Tokens[],
  positions: readonly (readonly number[])[],
): Promise<Float32Array> {
  const { config, weights } = model;
  const [B, T, C] = [sequences.length, longest(sequences), config.dModel];
  const rows = positions.flatMap((chosen, i) => chosen.map((position) => i * T + position));
  if (rows.length === 0) return new Float32Array(0);
  const captured = tf.tidy(() => {
    const resid = residPost(config, weights, padTokens(sequences, T), layer, prefixOf(model)); // [B, T, C]
    return gatherRows(tf.reshape(resid, [B * T, C]), tf.tensor1d(rows, 'int32')); // [rows, C]
  });
  const data = await captured.data<'float32'>();
  captured.dispose();
  return data;
}

function checkPositions(sequences: readonly Tokens[], positions: readonly (readonly number[])[]): void {
  positions.forEach((chosen, i) => {
    const length = sequences[i]?.length ?? 0;
    const bad = chosen.find((position) => !Number.isInteger(position) || position < 0 || position >= length);
    if (bad === undefined) return;
    throw invalidInput(['positions', String(i)], `position must be 0 to ${length - 1}, got ${bad}`);
  });
}
