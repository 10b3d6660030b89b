/** Reads `blocks.{layer}.resid_post` at chosen positions of many sequences: the activations an SAE is trained on. */
import { setImmediate as turnOfTheLoop } from 'node:timers/promises';
import * as tf from '@tensorflow/tfjs-core';
import { invalidInput } from '../../errors.ts';
import { causalSight, packedSight } from '../model/attention.ts';
import { embed, runBlocks } from '../model/decoder.ts';
import { type LanguageModel, prefixOf } from '../model/languageModel.ts';
import { packTokens } from '../model/packing.ts';
import { tokensAtOnce } from '../model/room.ts';
import { checkPrompts, longest, padTokens, type Tokens } from '../model/tokens.ts';
import { gatherRows } from '../ops.ts';

interface Options {
  /** Token positions of each sequence, in the order wanted; absent means the last token of each. */
  positions?: readonly (readonly number[])[];
  /** Most sequences computed together; results do not depend on it. */
  batchSize?: number;
  breathe?: () => Promise<unknown>;
}

export interface CaptureOptions extends Options {
  /** −1 is the stream before the first block, `blocks.0.resid_pre`. */
  layer: number;
}

/**
 * Captures activations of `sequences` (token ids) as `[rows, dModel]`, one row a position, sequence by sequence.
 * @throws {AppError} INVALID_INPUT for a layer, sequence or position that does not exist.
 */
export async function captureResidPost(
  model: LanguageModel,
  sequences: readonly Tokens[],
  { layer, ...options }: CaptureOptions,
): Promise<Float32Array> {
  const { nLayers } = model.config;
  if (!Number.isInteger(layer) || layer < -1 || layer >= nLayers) {
    throw invalidInput(['layer'], `layer must be -1 to ${nLayers - 1}, got ${layer}`);
  }
  return (await captureLayers(model, sequences, { layers: [layer], ...options }))[0]!;
}

/** The same at several layers of the model, in ascending order, in the time that the last of them takes by itself. */
export async function captureLayers(
  model: LanguageModel,
  sequences: readonly Tokens[],
  { layers, batchSize = 256, breathe = turnOfTheLoop, ...options }: Options & { layers: readonly number[] },
): Promise<Float32Array[]> {
  const { dModel } = model.config;
  checkPrompts(model, sequences);
  const positions = options.positions ?? sequences.map((tokens) => [tokens.length - 1]);
  checkPositions(sequences, positions);
  const rows = positions.reduce((sum, chosen) => sum + chosen.length, 0);
  const activations = layers.map(() => new Float32Array(rows * dModel));
  for (let start = 0, end = 0, offset = 0; start < sequences.length; start = end) {
    end = endOfBatch(sequences, start, batchSize, tokensAtOnce(model.config));
    const parts = await captureBatch(model, layers, sequences.slice(start, end), positions.slice(start, end));
    parts.forEach((part, i) => {
      activations[i]!.set(part, offset);
    });
    offset += parts[0]?.length ?? 0;
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
  layers: readonly number[],
  sequences: readonly Tokens[],
  positions: readonly (readonly number[])[],
): Promise<Float32Array[]> {
  const { config, weights } = model;
  if (positions.every((chosen) => chosen.length === 0)) return layers.map(() => new Float32Array(0));
  const captured = tf.tidy(() => {
    const { tokens, sight, starts } = layOut(model, sequences);
    const rows = positions.flatMap((chosen, i) => chosen.map((position) => starts[i]! + position));
    const chosen = tf.tensor1d(rows, 'int32');
    let resid = embed(config, weights, tokens, sight); // [1, N, C], or [B, T, C]
    let from = 0;
    return layers.map((to) => {
      const below = resid;
      resid = runBlocks(config, weights, below, sight, { from, to }).resid;
      below.dispose();
      from = to + 1;
      return gatherRows(tf.reshape(resid, [-1, config.dModel]) as tf.Tensor2D, chosen); // [rows, C]
    });
  });
  try {
    return await Promise.all(captured.map((part) => part.data<'float32'>()));
  } finally {
    tf.dispose(captured);
  }
}

/** Without padding; with it behind a prefix, for sequences of different lengths do not share one yet. */
function layOut(model: LanguageModel, sequences: readonly Tokens[]) {
  const [B, T, prefix] = [sequences.length, longest(sequences), prefixOf(model)];
  if (prefix) {
    const starts = sequences.map((_, i) => i * T);
    return { tokens: padTokens(sequences, T), sight: causalSight(B, T, prefix), starts };
  }
  const N = sequences.reduce((sum, { length }) => sum + length, 0);
  const { tokens, places, ends } = packTokens(sequences, N);
  const sight = packedSight(tf.tensor1d(places), tf.tensor1d(ends), T);
  return { tokens: tf.tensor2d(tokens, [1, N]), sight, starts: [0, ...ends] };
}

function checkPositions(sequences: readonly Tokens[], positions: readonly (readonly number[])[]): void {
  positions.forEach((chosen, i) => {
    const length = sequences[i]?.length ?? 0;
    const bad = chosen.find((position) => !Number.isInteger(position) || position < 0 || position >= length);
    if (bad === undefined) return;
    throw invalidInput(['positions', String(i)], `position must be 0 to ${length - 1}, got ${bad}`);
  });
}
