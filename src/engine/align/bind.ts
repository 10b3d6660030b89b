/** How far slot k fires for concept k and for nothing else, and how well the SAE reconstructs; METHOD's measures. */
import * as tf from '@tensorflow/tfjs-core';
import type { ConceptLatent, SplitMeasures } from '../contract/alignment.ts';
import type { Split } from '../contract/dataset.ts';
import { decode, encode, joinLatents, valueLogits } from '../sae/autoencoder.ts';
import { normalize } from '../sae/normalization.ts';
import type { Sae } from '../sae/sae.ts';
import { strongest } from '../sae/validation.ts';
import { bestMatching } from './matching.ts';

/** Raw activations of prompts with their labels. */
export interface LabelledActivations {
  /** `[n, dModel]`. */
  h: Float32Array;
  concepts: readonly number[];
  /** Token id of each answer's first token. */
  answers: readonly number[];
}

/** What the binding measures of a split derive from. */
export type BindingMeasures = Pick<
  SplitMeasures,
  'accuracy' | 'top3' | 'top5' | 'matrix' | 'conceptAccuracy' | 'diagonalAccuracy' | 'diagonalStrength'
>;

const ROWS_AT_ONCE = 1024;

/** A latent that stands in for a slot, in units of `meanActivation`. */
export type StandIn = Pick<ConceptLatent, 'latent' | 'meanActivation'>;

/** Measures one split; `data` must not be empty. `standIns` take the place of the slots, concept by concept. */
export async function measureSplit(
  sae: Sae,
  split: Split,
  data: LabelledActivations,
  breathe: () => Promise<void>,
  standIns: readonly StandIn[] | null = null,
): Promise<SplitMeasures> {
  const { nFree, dModel } = sae.config;
  const nConcepts = standIns?.length ?? sae.config.nConcepts;
  const n = data.concepts.length;
  const x = normalize(data.h, sae.normalization);
  const slots = new Float32Array(n * nConcepts);
  const fired = new Float64Array(nFree);
  let squaredError = 0;
  let named = 0;
  for (let start = 0; start < n; start += ROWS_AT_ONCE) {
    const rows = x.subarray(start * dModel, (start + ROWS_AT_ONCE) * dModel);
    const part = measureRows(sae, rows, data.concepts.slice(start, start + ROWS_AT_ONCE), standIns);
    slots.set(part.slots, start * nConcepts);
    part.fired.forEach((count, latent) => {
      fired[latent]! += count;
    });
    squaredError += part.squaredError;
    part.named?.forEach((token, i) => {
      if (token === data.answers[start + i]) named++;
    });
    await breathe();
  }
  return {
    split,
    examples: n,
    ...measureBinding(slots, data.concepts, nConcepts),
    valueAccuracy: sae.config.valueHeads && named / n,
    fvu: squaredError / squaredDeviation(x, dModel),
    l0: fired.reduce((sum, rows) => sum + rows, 0) / n,
    deadLatents: fired.filter((rows) => rows === 0).length / nFree,
  };
}

interface MeasuredRows {
  slots: Float32Array;
  /** Rows in which each free latent was not 0. */
  fired: Float32Array;
  squaredError: number;
  /** Token that the bound slot's value head names, row by row; null without value heads. */
  named: Int32Array | null;
}

function measureRows(
  sae: Sae,
  rows: Float32Array,
  concepts: readonly number[],
  standIns: readonly StandIn[] | null,
): MeasuredRows {
  const { config, weights } = sae;
  const tensors = tf.tidy(() => {
    const x = tf.tensor2d(rows, [concepts.length, config.dModel]);
    const latents = encode(config, weights, x);
    const fired = tf.sum(tf.cast(tf.notEqual(latents.free, 0), 'float32'), 0);
    const squaredError = tf.sum(tf.squaredDifference(decode(weights, latents), x));
    const named = config.valueHeads ? [nameValues(sae, latents.slots)] : [];
    const slots = standIns ? readStandIns(joinLatents(latents), standIns) : latents.slots;
    return [slots, fired, squaredError, ...named];
  });
  const [slots, fired, squaredError, named] = tensors.map((tensor) => tensor.dataSync());
  tf.dispose(tensors);
  return {
    slots: slots as Float32Array,
    fired: fired as Float32Array,
    squaredError: squaredError![0]!,
    named: named ? Int32Array.from(concepts, (concept, i) => named[concept * concepts.length + i]!) : null,
  };
}

/** Columns of `latents [B, n]`, each divided by its mean activation; of one that never fires, zeros. */
function readStandIns(latents: tf.Tensor2D, standIns: readonly StandIn[]): tf.Tensor2D {
  const [C, n] = [standIns.length, latents.shape[1]];
  const selector = new Float32Array(n * C);
  standIns.forEach(({ latent, meanActivation }, concept) => {
    selector[latent * C + concept] = meanActivation === 0 ? 0 : 1 / meanActivation;
  });
  return tf.matMul(latents, tf.tensor2d(selector, [n, C]));
}

/** Every head's likeliest token for every row, `[C · B]` by head; `slots [B, C]`. */
function nameValues({ config, weights }: Sae, slots: tf.Tensor2D): tf.Tensor {
  return tf.argMax(valueLogits(config, weights, tf.tile(slots, [config.nConcepts, 1])), 1);
}

/** Binding measures from slots `[n, nConcepts]` and each row's concept. */
export function measureBinding(
  slots: Float32Array,
  concepts: readonly number[],
  nConcepts: number,
): BindingMeasures {
  const counts = Array.from({ length: nConcepts }, () => new Array<number>(nConcepts).fill(0));
  const within = [0, 0, 0]; // among the 1, 3 and 5 strongest
  concepts.forEach((concept, i) => {
    counts[concept]![strongest(slots, i, nConcepts)]!++;
    const rank = rankOf(slots.subarray(i * nConcepts, (i + 1) * nConcepts), concept);
    [1, 3, 5].forEach((top, k) => {
      if (rank < top) within[k]!++;
    });
  });
  const totals = counts.map((row) => row.reduce((sum, count) => sum + count, 0));
  const matrix = counts.map((row, k) => row.map((count) => (totals[k] ? count / totals[k]! : 0)));
  const asked = totals.flatMap((total, k) => (total ? [k] : []));
  const matching = bestMatching(matrix);
  const conceptAccuracy = matrix.map((row, k) => row[k]!);
  return {
    accuracy: within[0]! / concepts.length,
    top3: within[1]! / concepts.length,
    top5: within[2]! / concepts.length,
    matrix,
    conceptAccuracy,
    diagonalAccuracy: mean(asked.map((k) => matrix[k]![matching[k]!]!)),
    diagonalStrength: mean(asked.map((k) => conceptAccuracy[k]!)),
  };
}

/** How many slots are stronger; among equals the first counts as stronger, as in `strongest`. */
function rankOf(row: Float32Array, concept: number): number {
  const own = row[concept]!;
  return row.reduce((rank, value, j) => rank + Number(value > own || (value === own && j < concept)), 0);
}

/** `Σ ‖x − mean(x)‖²` over rows `[n, dModel]`. */
function squaredDeviation(x: Float32Array, dModel: number): number {
  const rows = x.length / dModel;
  const sums = new Float64Array(dModel);
  let squares = 0;
  x.forEach((value, i) => {
    sums[i % dModel]! += value;
    squares += value * value;
  });
  return squares - sums.reduce((total, sum) => total + (sum * sum) / rows, 0);
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}
