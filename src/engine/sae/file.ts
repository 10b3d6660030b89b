/** A trained SAE as one `.safetensors` file: weights, normalisation, concept means, and metadata to rebuild it. */
import { AppError } from '../../errors.ts';
import { readSafetensors, writeSafetensors } from '../../formats/safetensors.ts';
import type { Arrays } from '../contract/arrays.ts';
import type { SaeDescription } from '../contract/sae.ts';
import type { WrittenFile } from '../contract/writtenFile.ts';
import { saeShapes } from './autoencoder.ts';
import type { Normalization } from './normalization.ts';

/** A trained SAE as arrays. */
export interface StoredSae extends SaeDescription {
  weights: Arrays;
  normalization: Normalization;
  /** Mean raw activation of each concept's training prompts, `[concepts.length, dModel]`. */
  conceptMeans: Float32Array;
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
  const { config, settings, concepts, bestStep, sinkNorm } = sae;
  const description: SaeDescription = { config, settings, concepts, bestStep, sinkNorm };
  return writeSafetensors(path, arrays, { format: 'pt', alignsae: JSON.stringify(description) });
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
