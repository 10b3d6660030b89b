/** A trained SAE as one `.safetensors` file: weights, normalisation, concept means, and metadata to rebuild it. */
import * as tf from '@tensorflow/tfjs-core';
import { AppError } from '../../errors.ts';
import { readSafetensors, writeSafetensors } from '../../formats/safetensors.ts';
import type { Arrays } from '../contract/arrays.ts';
import type { SaeDescription } from '../contract/sae.ts';
import type { WrittenFile } from '../contract/writtenFile.ts';
import type { Tensors } from '../step/stepper.ts';
import { saeShapes } from './sae.ts';

/** How raw activations become the SAE's inputs: `x = (h − mean) / scale`. */
export interface Normalization {
  /** `[dModel]`. */
  mean: Float32Array;
  scale: number;
}

export interface StoredSae extends SaeDescription {
  weights: Arrays;
  normalization: Normalization;
  /** Mean raw activation of each concept's training prompts, `[concepts.length, dModel]`. */
  conceptMeans: Float32Array;
}

/** An SAE on the device. */
export interface LoadedSae extends Omit<StoredSae, 'weights'> {
  weights: Tensors;
  /** Frees the weights. */
  dispose(): void;
}

const MEAN = 'normalization.mean';
const SCALE = 'normalization.scale';
const CONCEPT_MEANS = 'concept_means';

/** Writes the file; equal SAEs give equal bytes. */
export function writeSae(path: string, sae: StoredSae): Promise<WrittenFile> {
  const { dModel } = sae.config;
  const arrays: Arrays = {
    ...sae.weights,
    [MEAN]: { data: sae.normalization.mean, shape: [dModel] },
    [SCALE]: { data: Float32Array.of(sae.normalization.scale), shape: [1] },
    [CONCEPT_MEANS]: { data: sae.conceptMeans, shape: [sae.concepts.length, dModel] },
  };
  const { config, settings, concepts, bestStep } = sae;
  const description: SaeDescription = { config, settings, concepts, bestStep };
  return writeSafetensors(path, arrays, { format: 'pt', alignsae: JSON.stringify(description) });
}

/**
 * Loads an SAE onto the current backend; the caller disposes it.
 * @throws {AppError} INVALID_INPUT when the file is not an SAE of this server.
 */
export async function loadSae(path: string): Promise<LoadedSae> {
  return createLoadedSae(await readSae(path));
}

/** Reads what `writeSae` wrote. @throws {AppError} INVALID_INPUT when the file is not an SAE of this server. */
export async function readSae(path: string): Promise<StoredSae> {
  const { arrays, metadata } = await readSafetensors(path);
  if (!metadata.alignsae) throw new AppError('INVALID_INPUT', 'the file holds no SAE of this server');
  const description = JSON.parse(metadata.alignsae) as SaeDescription;
  const { dModel } = description.config;
  const shapes = { ...saeShapes(description.config), [MEAN]: [dModel], [SCALE]: [1] };
  for (const [name, shape] of Object.entries({
    ...shapes,
    [CONCEPT_MEANS]: [description.concepts.length, dModel],
  })) {
    if (String(arrays[name]?.shape) === String(shape)) continue;
    throw new AppError('INVALID_INPUT', `${name} has shape [${arrays[name]?.shape}], expected [${shape}]`);
  }
  const { [MEAN]: mean, [SCALE]: scale, [CONCEPT_MEANS]: conceptMeans, ...weights } = arrays;
  return {
    ...description,
    weights,
    normalization: { mean: mean!.data as Float32Array, scale: scale!.data[0]! },
    conceptMeans: conceptMeans!.data as Float32Array,
  };
}

/** Puts an SAE onto the current backend; the caller disposes it. */
export function createLoadedSae(sae: StoredSae): LoadedSae {
  const weights: Tensors = {};
  for (const [name, { data, shape }] of Object.entries(sae.weights)) {
    weights[name] = tf.tensor(data.slice(), [...shape], 'float32');
  }
  return { ...sae, weights, dispose: () => tf.dispose(weights) };
}

/**
 * The normalisation of activations `[n, dModel]`: their mean, and the root of their mean variance as one scale, so
 * that directions keep their proportions.
 */
export function fitNormalization(h: Float32Array, dModel: number): Normalization {
  const rows = h.length / dModel;
  const sums = new Float64Array(dModel);
  h.forEach((value, i) => {
    sums[i % dModel]! += value;
  });
  const mean = Float32Array.from(sums, (sum) => sum / rows);
  let squares = 0;
  h.forEach((value, i) => {
    squares += (value - mean[i % dModel]!) ** 2;
  });
  return { mean, scale: Math.sqrt(squares / h.length) || 1 };
}

/** `(h − mean) / scale` row by row; `h [n, dModel]`. */
export function normalize(h: Float32Array, { mean, scale }: Normalization): Float32Array {
  return h.map((value, i) => (value - mean[i % mean.length]!) / scale);
}

/** The inverse of `normalize`. */
export function denormalize(x: Float32Array, { mean, scale }: Normalization): Float32Array {
  return x.map((value, i) => value * scale + mean[i % mean.length]!);
}
