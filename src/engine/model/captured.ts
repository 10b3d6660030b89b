/**
 * A model without weights: all that is known of it are activations that were captured elsewhere, one a prompt of its
 * dataset. What needs more is refused where it asks for tokens.
 */
import * as tf from '@tensorflow/tfjs-core';
import { invalidInput } from '../../errors.ts';
import { readSafetensors } from '../../formats/safetensors.ts';
import type { Tokenizer } from '../../formats/tokenizer.ts';
import type { Prompt } from '../contract/dataset.ts';
import { CAPTURED_TENSOR, type ModelConfig, type ModelRef } from '../contract/model.ts';
import { takeRows } from '../rows.ts';
import type { Tensors } from '../step/stepper.ts';
import { askingOf } from './asking.ts';

/** Loads it; its activations stand in the place of weights. The caller disposes it. */
export async function loadCaptured({ weights: path, config }: ModelRef) {
  const { arrays } = await readSafetensors(path, [CAPTURED_TENSOR]);
  const { data, shape } = arrays[CAPTURED_TENSOR]!;
  const weights: Tensors = { [CAPTURED_TENSOR]: tf.tensor(data, [...shape], 'float32') };
  const dispose = () => tf.dispose(weights);
  const asking = askingOf(NO_TOKENIZER, {});
  return { config, weights, tokenizer: NO_TOKENIZER, asking, prompting: null, prefixes: new Map(), dispose };
}

/** Whether a model computes; the others have captured activations. */
export function computes({ config }: { config: ModelConfig }): boolean {
  return config.captured === undefined;
}

/**
 * Captured activations `[chosen, dModel]` of these of the dataset's prompts.
 * @throws {AppError} INVALID_INPUT when the prompts are of another dataset, or at another layer.
 */
export function capturedRows(
  { config, weights }: { config: ModelConfig; weights: Tensors },
  layer: number,
  all: readonly Prompt[],
  chosen: readonly Prompt[] = all,
): Float32Array {
  const activations = weights[CAPTURED_TENSOR]!;
  const [rows] = activations.shape;
  if (layer !== config.captured!.layer)
    throw invalidInput(
      ['layer'],
      `layer must be ${config.captured!.layer}, the only one whose activations were captured; got ${layer}`,
    );
  if (rows !== all.length)
    throw invalidInput(
      ['datasetId'],
      `the model has the activations of ${rows} prompts, those it was imported with; this dataset has ${all.length}`,
    );
  const places = new Map(all.map(({ id }, row) => [id, row]));
  const data = activations.dataSync<'float32'>();
  return takeRows(
    data,
    chosen.map(({ id }) => places.get(id)!),
    config.dModel,
  );
}

function refuse(): never {
  throw invalidInput(
    [],
    'this needs a model that computes; of this one only captured activations are known, without weights and tokenizer',
  );
}

const NO_TOKENIZER: Tokenizer = {
  ...{ encode: refuse, decode: refuse, spell: refuse, startsWith: refuse },
  ...{ dVocab: 0, padId: 0, eosId: 0, unkId: null, chat: null },
};
