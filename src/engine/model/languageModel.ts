/** A loaded language model: configuration, weights on the device, tokenizer. */
import * as tf from '@tensorflow/tfjs-core';
import { AppError } from '../../errors.ts';
import { readSafetensors } from '../../formats/safetensors.ts';
import { loadTokenizer, type Tokenizer } from '../../formats/tokenizer.ts';
import { createRandom } from '../../random.ts';
import type { Arrays, ArrayValue } from '../contract/arrays.ts';
import type { ModelConfig, ModelRef } from '../contract/model.ts';
import { weightShapes } from '../contract/modelShapes.ts';
import type { Tensors } from '../step/stepper.ts';

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
  return createLanguageModel(ref.config, await readWeights(ref), loadTokenizer(ref.tokenizer));
}

/**
 * Reads a model's weights.
 * @throws {AppError} INVALID_INPUT when the file is malformed or its weights have not the configuration's shapes.
 */
export async function readWeights({ weights, config }: ModelRef): Promise<Arrays> {
  const shapes = weightShapes(config);
  const { arrays } = await readSafetensors(weights, Object.keys(shapes));
  for (const [name, shape] of Object.entries(shapes)) {
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
 * Initial weights: normal with `initStd`, biases 0, layer-norm gains 1, and the projections by which block l writes
 * into the residual stream scaled by 1/(l+1)², so that lower blocks learn first. With one scale for all blocks (GPT-2's
 * 1/√(2·nLayers)) it was left to chance, from seed to seed, which block gathers what a question asks about; steering
 * needs it whole in one place, and below the blocks that look the answer up.
 */
export function initWeights(config: ModelConfig, initStd: number, seed: number): Arrays {
  const weights: Arrays = {};
  for (const [name, shape] of Object.entries(weightShapes(config))) {
    const layer = /^h\.(\d+)\..*c_proj\.weight$/.exec(name)?.[1];
    const scale = layer === undefined ? 1 : 1 / (Number(layer) + 1) ** 2;
    weights[name] = initWeight(name, shape, initStd * scale, seed);
  }
  return weights;
}

function initWeight(name: string, shape: number[], std: number, seed: number): ArrayValue {
  const data = new Float32Array(shape.reduce((product, dim) => product * dim, 1));
  if (/\bln_\w+\.weight$/.test(name)) data.fill(1);
  else if (name.endsWith('.weight')) {
    const random = createRandom(seed, 'init', name);
    for (let i = 0; i < data.length; i++) data[i] = std * random.normal();
  }
  return { data, shape };
}
