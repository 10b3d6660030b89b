/** A loaded language model: configuration, weights on the device, tokenizer. */
import * as tf from '@tensorflow/tfjs-core';
import { AppError } from '../../errors.ts';
import { eachTensor, readSafetensors } from '../../formats/safetensors.ts';
import { loadTokenizer, type Tokenizer } from '../../formats/tokenizer.ts';
import { checkMemory } from '../../memory.ts';
import { createRandom } from '../../random.ts';
import type { Arrays, ArrayValue } from '../contract/arrays.ts';
import type { ModelConfig, ModelRef } from '../contract/model.ts';
import { countWeights, modelWeights, type WeightRow, type WeightTable } from '../contract/modelWeights.ts';
import { isNative, nativeBackend } from '../native/rawOps.ts';
import { mapValues } from '../step/arrays.ts';
import type { Tensors } from '../step/stepper.ts';
import { type Asking, askingOf } from './asking.ts';
import type { SharedPrefix } from './attention.ts';
import { loadCaptured } from './captured.ts';

export interface LanguageModel {
  config: ModelConfig;
  weights: Tensors;
  tokenizer: Tokenizer;
  /** How prompts and answers become its tokens. */
  asking: Asking;
  /** How a dataset's prompts are put to it; null: as they are. Made by `promptedBy`. */
  prompting: Prompting | null;
  /** What has been computed of prefixes, by their tokens. */
  prefixes: Map<string, SharedPrefix>;
  /** Frees the weights, and what has been computed of prefixes. */
  dispose(): void;
}

/** What the dataset says about its prompts. `config.nCtx` of a model with a prefix is what is left behind it. */
export interface Prompting {
  prefix: SharedPrefix | null;
  /** What ends an answer besides the end token. */
  answerEnd: string | null;
  /** Whether answers must agree in letter case too. */
  letterCase: boolean;
  /** The model without all that. */
  alone: LanguageModel;
}

/** What stands before all that the model reads; null: nothing. */
export function prefixOf({ prompting }: LanguageModel): SharedPrefix | null {
  return prompting?.prefix ?? null;
}

/** The model that reads texts as they are. */
export function aloneOf(model: LanguageModel): LanguageModel {
  return model.prompting?.alone ?? model;
}

/**
 * Loads a model onto the current backend, weight by weight, so that it is in memory once; the caller disposes it.
 * @throws {AppError} LIMIT_EXCEEDED when its weights are larger than this machine's memory, before any is read;
 * INVALID_INPUT when they have not the configuration's shapes; UNAVAILABLE when the file is malformed.
 */
export async function loadLanguageModel({ config, ...ref }: ModelRef): Promise<LanguageModel> {
  if (config.captured) return loadCaptured({ config, ...ref });
  checkMemory('the model', weightBytes(config));
  const tokenizer = loadTokenizer(ref.tokenizer);
  const table = modelWeights(config);
  const weights: Tensors = {};
  try {
    for await (const [name, array] of eachTensor(ref.weights, Object.keys(table), shapeCheck(table)))
      weights[name] = upload(array);
  } catch (error) {
    tf.dispose(weights);
    throw error;
  }
  return modelOf(config, weights, tokenizer);
}

function modelOf(config: ModelConfig, weights: Tensors, tokenizer: Tokenizer): LanguageModel {
  const prefixes = new Map<string, SharedPrefix>();
  const dispose = () => {
    tf.dispose(weights);
    for (const { keyValues } of prefixes.values()) tf.dispose(keyValues.flat());
  };
  const asking = askingOf(tokenizer, {});
  return { config, weights, tokenizer, asking, prompting: null, prefixes, dispose };
}

/** Bytes of a model's weights as float32. */
export function weightBytes(config: ModelConfig): number {
  return 4 * countWeights(modelWeights(config));
}

/**
 * Reads a model's weights.
 * @throws {AppError} INVALID_INPUT when the file is malformed or its weights have not the configuration's shapes.
 */
export async function readWeights({ weights, config }: ModelRef): Promise<Arrays> {
  const table = modelWeights(config);
  const { arrays } = await readSafetensors(weights, Object.keys(table));
  const check = shapeCheck(table);
  for (const [name, { shape }] of Object.entries(arrays)) check(name, shape);
  return arrays;
}

/** @throws {AppError} INVALID_INPUT when a weight has another shape than the table says. */
function shapeCheck(table: WeightTable): (name: string, shape: readonly number[]) => void {
  return (name, shape) => {
    const { shape: expected } = table[name]!;
    if (String(shape) === String(expected)) return;
    throw new AppError('INVALID_INPUT', `${name} has shape [${shape}], expected [${expected}]`);
  };
}

/** On the device before this returns, which may go on using the memory of `data`. */
function upload({ data, shape }: ArrayValue): tf.Tensor {
  const tensor = tf.tensor(data, [...shape], data instanceof Int32Array ? 'int32' : 'float32');
  // TensorFlow's backend uploads when a tensor is first used, and holds the array until then; it copies what is not
  // aligned as it wants it, and shares the rest.
  if (isNative()) nativeBackend().getInputTensorIds([tensor]);
  return tensor;
}

/** Puts weights onto the current backend; the caller disposes the model. */
export function createLanguageModel(
  config: ModelConfig,
  arrays: Arrays,
  tokenizer: Tokenizer,
): LanguageModel {
  const weights: Tensors = {};
  for (const [name, { data, shape }] of Object.entries(arrays))
    weights[name] = upload({ data: data.slice(), shape });
  return modelOf(config, weights, tokenizer);
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
