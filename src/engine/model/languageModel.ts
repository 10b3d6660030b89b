/** A loaded language model: configuration, weights on the device, tokenizer. */
import * as tf from '@tensorflow/tfjs-core';
import { AppError } from '../../errors.ts';
import { readSafetensors } from '../../formats/safetensors.ts';
import { loadTokenizer, type Tokenizer } from '../../formats/tokenizer.ts';
import { createRandom } from '../../random.ts';
import type { Arrays } from '../contract/arrays.ts';
import type { ModelConfig, ModelRef } from '../contract/model.ts';
import { modelWeights, type WeightRow } from '../contract/modelWeights.ts';
import { mapValues } from '../step/arrays.ts';
import type { Tensors } from '../step/stepper.ts';
import { loadCaptured } from './captured.ts';

export interface LanguageModel {
  config: ModelConfig;
  weights: Tensors;
  tokenizer: Tokenizer;
  /** Frees the weights. */
  dispose(): void;
}

/**
 * Loads a model onto the current backend; the caller disposes it.
 * @throws {AppError} INVALID_INPUT when the file is malformed or its weights have not the configuration's shapes.
 */
export async function loadLanguageModel(ref: ModelRef): Promise<LanguageModel> {
  if (ref.config.captured) return loadCaptured(ref);
  return createLanguageModel(ref.config, await readWeights(ref), loadTokenizer(ref.tokenizer));
}

/**
 * Reads a model's weights.
 * @throws {AppError} INVALID_INPUT when the file is malformed or its weights have not the configuration's shapes.
 */
export async function readWeights({ weights, config }: ModelRef): Promise<Arrays> {
  const table = modelWeights(config);
  const { arrays } = await readSafetensors(weights, Object.keys(table));
  for (const [name, { shape }] of Object.entries(table)) {
    if (String(arrays[name]!.shape) === String(shape)) continue;
    throw new AppError('INVALID_INPUT', `${name} has shape [${arrays[name]!.shape}], expected [${shape}]`);
  }
  return arrays;
}

/** Puts weights onto the current backend; the caller disposes the model. */
export function createLanguageModel(
  config: ModelConfig,
  arrays: Arrays,
  tokenizer: Tokenizer,
): LanguageModel {
  const weights: Tensors = {};
  for (const [name, { data, shape }] of Object.entries(arrays)) {
    weights[name] = tf.tensor(data.slice(), [...shape], data instanceof Int32Array ? 'int32' : 'float32');
  }
  return { config, weights, tokenizer, dispose: () => tf.dispose(weights) };
}

/**
 * Initial weights: normal with `initStd`, biases 0, gains of norms 1, and the projections by which block l writes
 * into the residual stream scaled by 1/(l+1)², so that lower blocks learn first. With one scale for all blocks (GPT-2's
 * 1/√(2·nLayers)) it was left to chance, from seed to seed, which block gathers what a question asks about; steering
 * needs it whole in one place, and below the blocks that look the answer up.
 */
export function initWeights(config: ModelConfig, initStd: number, seed: number): Arrays {
  return mapValues(modelWeights(config), (row, name) => initWeight(name, row, initStd, seed));
}

function initWeight(name: string, { shape, initial, writesIn }: WeightRow, initStd: number, seed: number) {
  const data = new Float32Array(shape.reduce((product, dim) => product * dim, 1));
  if (initial === 'ONES') data.fill(1);
  if (initial === 'NORMAL') {
    const std = initStd * (writesIn === null ? 1 : 1 / (writesIn + 1) ** 2);
    const random = createRandom(seed, 'init', name);
    for (let i = 0; i < data.length; i++) data[i] = std * random.normal();
  }
  return { data, shape };
}
