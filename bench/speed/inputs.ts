/** Weights and batches that both sides begin with, drawn here and handed over as one `.safetensors`. */

import type { Arrays, ArrayValue } from '../../src/engine/contract/arrays.ts';
import type { SaeConfig } from '../../src/engine/contract/sae.ts';
import { initWeights } from '../../src/engine/model/languageModel.ts';
import { packBatch, roomOf, type Sequence } from '../../src/engine/model/packing.ts';
import { initSae } from '../../src/engine/sae/autoencoder.ts';
import { readSafetensors, writeSafetensors } from '../../src/formats/safetensors.ts';
import { createRandom } from '../../src/random.ts';
import type { GivenWork, ModelStepWork, PosttrainWork, PretrainWork } from './work.ts';

export interface Inputs {
  weights: Arrays;
  batch: Arrays;
}

const random = createRandom(0, 'speed');
/** Wide enough apart for greedy choices to be the same on both sides. */
const INIT_STD = 0.08;

/** Draws what the work begins with and writes it to `path`. */
export async function writeInputs(path: string, work: GivenWork): Promise<void> {
  const { weights, batch } = 'config' in work ? modelInputs(work) : saeInputs(work);
  await writeSafetensors(path, { ...prefixed('weights', weights), ...prefixed('batch', batch) });
}

export async function readInputs(path: string): Promise<Inputs> {
  const { arrays } = await readSafetensors(path);
  const named = (prefix: string) =>
    Object.fromEntries(
      Object.entries(arrays)
        .filter(([name]) => name.startsWith(`${prefix}.`))
        .map(([name, value]) => [name.slice(prefix.length + 1), value]),
    );
  return { weights: named('weights'), batch: named('batch') };
}

export function saeConfigOf(work: PosttrainWork | PretrainWork): SaeConfig {
  const { dModel, nFree, activation, k } = work;
  const shape = { dModel, nFree, activation, k };
  if (work.kind === 'PRETRAIN') return { ...shape, nConcepts: 0, valueHeads: null };
  const { nConcepts, valueHidden: hidden, dVocab } = work;
  return { ...shape, nConcepts, valueHeads: { hidden, dVocab } };
}

function saeInputs(work: PosttrainWork | PretrainWork): Inputs {
  const { rows, dModel, nFree, firing } = work;
  const weights = initSae(saeConfigOf(work), 0);
  // Pre-activations of fresh latents are close to standard normal.
  if (firing !== null) weights['encoder.bias']!.data.fill(-upperQuantile(firing), 0, nFree);
  const x = normal(rows, dModel);
  if (work.kind === 'PRETRAIN') return { weights, batch: { x } };
  const concepts = oneHotGroups(rows, work.nConcepts);
  const batch = { x, concepts, answers: ids(work.dVocab, rows) };
  const { counterfactual, silence } = work.coefficients;
  return {
    weights,
    batch: {
      ...batch,
      ...(counterfactual > 0 && counterfactuals(rows, work)),
      ...(silence > 0 && { silent: normal(work.silentRows, dModel) }),
    },
  };
}

/** Every row leads to one about the next concept, but for one in eight, which has no partner. */
function counterfactuals(rows: number, { dModel, nConcepts: C }: PosttrainWork): Arrays {
  const targets = oneHotGroups(rows, C, 1);
  const paired = Float32Array.from({ length: rows }, (_, row) => Number(row % 8 !== 0));
  return { partner: normal(rows, dModel), targets, paired: { data: paired, shape: [rows] } };
}

function modelInputs(work: Exclude<GivenWork, PosttrainWork | PretrainWork>): Inputs {
  const { config, rows, tokens: T } = work;
  const weights = initWeights(config, INIT_STD, 0);
  const tokens = work.kind === 'STEER' ? repeated(ids(config.dVocab, T), rows) : ids(config.dVocab, rows, T);
  if (work.kind !== 'MODEL_STEP') return { weights, batch: { tokens } };
  const sequences = work.asks ? questions(work) : rowsOf(tokens).map((row) => ({ tokens: row, from: 1 }));
  return { weights, batch: { ...packBatch(sequences, roomOf(sequences)), ...padded(sequences, T) } };
}

/** Short questions with short answers, one in six of which is long as a date is. */
function questions({ config, rows, tokens: T }: ModelStepWork): Sequence[] {
  return Array.from({ length: rows }, (_, i) => {
    const [asked, told] = i % 6 === 0 ? [T - 11, 11] : [8 + random.int(6), 2 + random.int(5)];
    return { tokens: [...ids(config.dVocab, asked + told).data], from: asked };
  });
}

export function rowsOf({ data, shape }: ArrayValue): number[][] {
  const [rows, width] = shape as [number, number];
  return Array.from({ length: rows }, (_, i) => [...data.subarray(i * width, (i + 1) * width)]);
}

/** As transformers takes them: padded at the right, and labels, which it shifts by itself, −100 where nothing is learned. */
function padded(sequences: readonly Sequence[], T: number): Arrays {
  const [inputs, labels] = [ids(1, sequences.length, T), ids(1, sequences.length, T)];
  labels.data.fill(-100);
  sequences.forEach(({ tokens, from }, row) => {
    inputs.data.set(tokens, row * T);
    labels.data.set(tokens.slice(from), row * T + from);
  });
  return { inputs, labels };
}

/** What a standard normal number exceeds with this probability. */
function upperQuantile(probability: number): number {
  const draws = Float64Array.from({ length: 100_000 }, () => random.normal()).sort();
  return draws[Math.floor((1 - probability) * draws.length)]!;
}

function normal(...shape: number[]): ArrayValue {
  return { data: Float32Array.from({ length: size(shape) }, () => random.normal()), shape };
}

function ids(max: number, ...shape: number[]): ArrayValue {
  return { data: Int32Array.from({ length: size(shape) }, () => random.int(max)), shape };
}

/** `[rows, T]`, the same in every row. */
function repeated({ data }: ArrayValue, rows: number): ArrayValue {
  const all = Int32Array.from({ length: rows * data.length }, (_, i) => data[i % data.length]!);
  return { data: all, shape: [rows, data.length] };
}

/** `[rows, C]`: C equal groups of rows, concept 0's first, or that of so many concepts further on. */
function oneHotGroups(rows: number, C: number, further = 0): ArrayValue {
  const data = new Float32Array(rows * C);
  for (let row = 0; row < rows; row++) data[row * C + ((Math.floor((row * C) / rows) + further) % C)] = 1;
  return { data, shape: [rows, C] };
}

function prefixed(prefix: string, arrays: Arrays): Arrays {
  return Object.fromEntries(Object.entries(arrays).map(([name, value]) => [`${prefix}.${name}`, value]));
}

function size(shape: readonly number[]): number {
  return shape.reduce((product, dimension) => product * dimension, 1);
}
