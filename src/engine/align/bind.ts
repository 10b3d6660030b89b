/** How far slot k fires for concept k and for nothing else, and how well the SAE reconstructs; METHOD's measures. */
import * as tf from '@tensorflow/tfjs-core';
import type { ConceptLatent, SplitMeasures } from '../contract/alignment.ts';
import type { Split } from '../contract/dataset.ts';
import type { ValueHeads } from '../contract/sae.ts';
import { decode, encode, joinLatents, valueLogits } from '../sae/autoencoder.ts';
import { normalize } from '../sae/normalization.ts';
import type { Sae } from '../sae/sae.ts';
import { strongest } from '../sae/validation.ts';
import { ConceptSums } from './concentration.ts';
import { bestMatching } from './matching.ts';
import { tokenOf } from './valueHeads.ts';

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
  | 'accuracy'
  | 'top3'
  | 'top5'
  | 'matrix'
  | 'conceptAccuracy'
  | 'diagonalAccuracy'
  | 'diagonalStrength'
  | 'slotMargin'
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
  const sums = new ConceptSums(nConcepts, sae.nLatents);
  const named = new Array<number>(nConcepts).fill(0);
  let squaredError = 0;
  for (let start = 0; start < n; start += ROWS_AT_ONCE) {
    const rows = x.subarray(start * dModel, (start + ROWS_AT_ONCE) * dModel);
    const concepts = data.concepts.slice(start, start + ROWS_AT_ONCE);
    const part = measureRows(sae, rows, concepts, standIns);
    slots.set(part.slots, start * nConcepts);
    sums.add(part.sums, concepts);
    part.fired.forEach((count, latent) => {
      fired[latent]! += count;
    });
    squaredError += part.squaredError;
    part.named?.forEach((token, i) => {
      if (token === data.answers[start + i]) named[concepts[i]!]!++;
    });
    await breathe();
  }
  return {
    split,
    examples: n,
    ...measureBinding(slots, data.concepts, nConcepts),
    concentration: sums.concentrations(),
    slotConcentration: standIns ? null : sums.concentrations(nFree),
    valueAccuracy: sae.config.valueHeads && named.reduce((sum, count) => sum + count, 0) / n,
    conceptValueAccuracy: sae.config.valueHeads && sharesOf(named, data.concepts),
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
  /** Latents summed over each concept's rows, `[nConcepts, nLatents]`. */
  sums: Float32Array;
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
    const joined = joinLatents(latents);
    const slots = standIns ? readStandIns(joined, standIns) : latents.slots;
    const sums = tf.matMul(rowsOfConcepts(concepts, standIns?.length ?? config.nConcepts), joined);
    return [slots, fired, squaredError, sums, ...named];
  });
  const [slots, fired, squaredError, sums, named] = tensors.map((tensor) => tensor.dataSync());
  tf.dispose(tensors);
  return {
    slots: slots as Float32Array,
    fired: fired as Float32Array,
    squaredError: squaredError![0]!,
    sums: sums as Float32Array,
    named: named ? namedTokens(config.valueHeads!, named, concepts) : null,
  };
}

/** Of the outputs `[nConcepts · B]` that every head names, the tokens of each row's own. */
function namedTokens(heads: ValueHeads, outputs: ArrayLike<number>, concepts: readonly number[]): Int32Array {
  return Int32Array.from(concepts, (concept, i) => tokenOf(heads, outputs[concept * concepts.length + i]!));
}

/** `[nConcepts, B]`: 1 where the row is about the concept. */
function rowsOfConcepts(concepts: readonly number[], nConcepts: number): tf.Tensor2D {
  const B = concepts.length;
  const about = new Float32Array(nConcepts * B);
  concepts.forEach((concept, i) => {
    about[concept * B + i] = 1;
  });
  return tf.tensor2d(about, [nConcepts, B]);
}

/** Of each concept's rows; 0 where there are none. */
function sharesOf(counts: readonly number[], concepts: readonly number[]): number[] {
  const totals = counts.map(() => 0);
  for (const concept of concepts) totals[concept]!++;
  return counts.map((count, concept) => (totals[concept] ? count / totals[concept]! : 0));
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
    slotMargin: nConcepts > 1 ? mean(concepts.map((_, i) => marginOf(slots, i, nConcepts))) : null,
  };
}

/** The strongest slot of row `i` less the second strongest, at least two of them. */
function marginOf(slots: Float32Array, i: number, nConcepts: number): number {
  const row = slots.slice(i * nConcepts, (i + 1) * nConcepts).sort();
  return row.at(-1)! - row.at(-2)!;
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
