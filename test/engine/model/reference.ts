/** GPT-2 in plain loops over double-precision numbers: slow, independent of the tensor library, easy to check. */

import type { Arrays } from '../../../src/engine/contract/arrays.ts';
import type { ModelConfig } from '../../../src/engine/contract/model.ts';

type Vector = number[];
type Matrix = Vector[];

/** The residual stream after each block, `[layer][position][dModel]`, and the logits, `[position][dVocab]`. */
export function referenceForward(
  config: ModelConfig,
  weights: Arrays,
  tokens: readonly number[],
): { resid: Matrix[]; logits: Matrix } {
  const wte = matrix(weights, 'wte.weight');
  const wpe = matrix(weights, 'wpe.weight');
  let x = tokens.map((token, position) => plus(wte[token]!, wpe[position]!));
  const resid: Matrix[] = [];
  for (let layer = 0; layer < config.nLayers; layer++) {
    x = referenceBlock(config, weights, `h.${layer}`, x);
    resid.push(x);
  }
  const normed = x.map((row) => normalise(config, weights, 'ln_f', row));
  return { resid, logits: normed.map((row) => wte.map((embedding) => dot(row, embedding))) };
}

function referenceBlock(config: ModelConfig, weights: Arrays, name: string, x: Matrix): Matrix {
  const attended = attend(
    config,
    weights,
    `${name}.attn`,
    x.map((row) => normalise(config, weights, `${name}.ln_1`, row)),
  );
  const middle = x.map((row, i) => plus(row, attended[i]!));
  return middle.map((row) => {
    const hidden = linear(weights, `${name}.mlp.c_fc`, normalise(config, weights, `${name}.ln_2`, row)).map(
      (h) => 0.5 * h * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (h + 0.044715 * h ** 3))),
    );
    return plus(row, linear(weights, `${name}.mlp.c_proj`, hidden));
  });
}

function attend({ nHeads, dModel }: ModelConfig, weights: Arrays, name: string, x: Matrix): Matrix {
  const dHead = dModel / nHeads;
  const qkv = x.map((row) => linear(weights, `${name}.c_attn`, row));
  const part = (position: number, which: number, head: number) => {
    const start = which * dModel + head * dHead;
    return qkv[position]!.slice(start, start + dHead);
  };
  return x.map((_, query) => {
    const mixed: Vector = [];
    for (let head = 0; head < nHeads; head++) {
      const keys = Array.from({ length: query + 1 }, (_, key) => key);
      const scores = keys.map((key) => dot(part(query, 0, head), part(key, 1, head)) / Math.sqrt(dHead));
      const shares = softmax(scores);
      for (let i = 0; i < dHead; i++) {
        mixed.push(keys.reduce((sum, key) => sum + shares[key]! * part(key, 2, head)[i]!, 0));
      }
    }
    return linear(weights, `${name}.c_proj`, mixed);
  });
}

function linear(weights: Arrays, name: string, row: Vector): Vector {
  const weight = matrix(weights, `${name}.weight`);
  const bias = weights[`${name}.bias`]!.data;
  return Array.from(bias, (b, out) => row.reduce((sum, value, i) => sum + value * weight[i]![out]!, b));
}

function normalise({ layerNormEps }: ModelConfig, weights: Arrays, name: string, row: Vector): Vector {
  const mean = row.reduce((sum, value) => sum + value, 0) / row.length;
  const variance = row.reduce((sum, value) => sum + (value - mean) ** 2, 0) / row.length;
  const gain = weights[`${name}.weight`]!.data;
  const bias = weights[`${name}.bias`]!.data;
  return row.map((value, i) => ((value - mean) / Math.sqrt(variance + layerNormEps)) * gain[i]! + bias[i]!);
}

export function softmax(scores: Vector): Vector {
  const max = Math.max(...scores);
  const weights = scores.map((score) => Math.exp(score - max));
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  return weights.map((weight) => weight / total);
}

function matrix(weights: Arrays, name: string): Matrix {
  const { data, shape } = weights[name]!;
  const [rows, width] = shape as [number, number];
  return Array.from({ length: rows }, (_, i) => Array.from(data.subarray(i * width, (i + 1) * width)));
}

const plus = (a: Vector, b: Vector): Vector => a.map((value, i) => value + b[i]!);
const dot = (a: Vector, b: Vector): number => a.reduce((sum, value, i) => sum + value * b[i]!, 0);
