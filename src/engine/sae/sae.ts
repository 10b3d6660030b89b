/** A trained SAE that can be called: it takes raw activations and gives raw activations back. */
import * as tf from '@tensorflow/tfjs-core';
import type { AlignmentSettings } from '../contract/alignmentSettings.ts';
import { nLatentsOf, type SaeConfig, type SaeDescription } from '../contract/sae.ts';
import type { Tensors } from '../step/stepper.ts';
import { decode, decodeJoined, encode, joinLatents, type Latents, THRESHOLD } from './autoencoder.ts';
import { readSae, type StoredSae } from './file.ts';
import { denormalize, type Normalization, normalize } from './normalization.ts';
import { rowNorms } from './sinks.ts';

/** Rows are encoded together, so many that their latents fill at most this many floats: so wide SAEs fit. */
const LATENTS_AT_ONCE = 2 ** 25;

/**
 * An SAE on the current backend. Latents are counted free ones first, then slots. `h` stands for raw activations
 * `[n, dModel]` in rows one after the other, which are never changed; what is returned belongs to the caller.
 */
export class Sae implements SaeDescription {
  readonly config: SaeConfig;
  readonly settings: AlignmentSettings;
  readonly concepts: readonly string[];
  readonly bestStep: number;
  readonly sinkNorm: number;
  readonly normalization: Normalization;
  /** Mean raw activation of each concept's training prompts, `[concepts.length, dModel]`. */
  readonly conceptMeans: Float32Array;
  /** Free latents and slots together. */
  readonly nLatents: number;
  /** For the functions of `autoencoder.ts`, which work on normalised activations. */
  readonly weights: Tensors;

  /** Puts the weights onto the current backend; whoever calls it disposes the SAE. */
  constructor({
    weights,
    config,
    settings,
    concepts,
    bestStep,
    normalization,
    conceptMeans,
    ...more
  }: StoredSae) {
    this.config = config;
    this.settings = settings;
    this.concepts = concepts;
    this.bestStep = bestStep;
    this.sinkNorm = more.sinkNorm ?? Number.POSITIVE_INFINITY;
    this.normalization = normalization;
    this.conceptMeans = conceptMeans;
    this.nLatents = nLatentsOf(config);
    const tensors: Tensors = {};
    for (const [name, { data, shape }] of Object.entries(weights)) {
      tensors[name] = tf.tensor(data.slice(), [...shape], 'float32');
    }
    this.weights = tensors;
  }

  /** The latent that is the slot of the concept; of an SAE that has slots. */
  slot(concept: number): number {
    return this.config.nFree + concept;
  }

  /** All latents, `[n, nLatents]`, or those chosen, in that order, `[n, chosen.length]`. */
  latents(h: Float32Array, chosen?: readonly number[]): Float32Array {
    if (!chosen) return this.#read(h, this.nLatents, joinLatents);
    return this.#read(h, chosen.length, (latents) => tf.gather(joinLatents(latents), indices(chosen), 1));
  }

  /**
   * These latents, `[n, chosen.length]`, in that order, computed by themselves: of a wide SAE in a fraction of the time
   * that all take, and equal to `latents` but for rounding. `TOPK`, where latents depend on one another, computes all.
   */
  only(h: Float32Array, chosen: readonly number[]): Float32Array {
    const { activation, nFree, dModel } = this.config;
    if (activation === 'TOPK' || chosen.length * 2 > this.nLatents) return this.latents(h, chosen);
    const order = [...chosen].sort((a, b) => a - b); // free latents first, as everywhere
    const config = { ...this.config, nFree: order.filter((latent) => latent < nFree).length };
    const part = { ...config, nConcepts: order.length - config.nFree };
    const weights = tf.tidy(() => selectLatents(this.weights, order, config.nFree));
    try {
      const sorted = readRows(h, { dModel, width: order.length, nLatents: order.length }, (x) => {
        return joinLatents(
          encode(part, weights, tf.tensor2d(normalize(x, this.normalization), [x.length / dModel, dModel])),
        );
      });
      const placeOf = new Map(order.map((latent, place) => [latent, place]));
      const places = chosen.map((latent) => placeOf.get(latent)!);
      if (places.every((place, i) => place === i)) return sorted;
      return sorted.map((_, i) => sorted[i - (i % places.length) + places[i % places.length]!]!);
    } finally {
      tf.dispose(weights);
    }
  }

  /** Whether the activation `row [dModel]` is a sink. */
  isSink(row: Float32Array): boolean {
    return rowNorms(row, row.length)[0]! > this.sinkNorm;
  }

  /** `[n, nConcepts]`. */
  slots(h: Float32Array): Float32Array {
    return this.#read(h, this.config.nConcepts, ({ slots }) => slots);
  }

  /** Raw activations of latents `z [n, nLatents]`, `[n, dModel]`. */
  decode(z: Float32Array): Float32Array {
    const x = tf.tidy(() => {
      return decodeJoined(this.weights, tf.tensor2d(z, [z.length / this.nLatents, this.nLatents]));
    });
    return denormalize(takeData(x), this.normalization);
  }

  /** `ĥ`, what the SAE makes of `h`, `[n, dModel]`; equal to `decode(latents(h))`. */
  reconstruct(h: Float32Array): Float32Array {
    const { dModel } = this.config;
    const x = this.#read(h, dModel, (latents) => decode(this.weights, latents));
    return denormalize(x, this.normalization);
  }

  /**
   * Decoder rows of these latents, `[latents.length, dModel]`, in normalised units: times `normalization.scale`, a row
   * is what its latent adds to a raw activation where it is 1.
   */
  columns(latents: readonly number[]): Float32Array {
    const decoder = this.weights['decoder.weight'] as tf.Tensor2D;
    return takeData(tf.tidy(() => tf.gather(decoder, indices(latents))));
  }

  /** Frees the weights. */
  dispose(): void {
    tf.dispose(this.weights);
  }

  /** What `of` makes of the latents, `width` numbers a row. */
  #read(h: Float32Array, width: number, of: (latents: Latents) => tf.Tensor): Float32Array {
    const { dModel } = this.config;
    return readRows(h, { dModel, width, nLatents: this.nLatents }, (rows) => {
      const x = normalize(rows, this.normalization);
      return of(encode(this.config, this.weights, tf.tensor2d(x, [x.length / dModel, dModel])));
    });
  }
}

/** What `of` makes of rows of `h [n, dModel]`, as many at a time as their latents leave room for: `[n, width]`. */
function readRows(
  h: Float32Array,
  { dModel, width, nLatents }: { dModel: number; width: number; nLatents: number },
  of: (rows: Float32Array) => tf.Tensor,
): Float32Array {
  const values = new Float32Array((h.length / dModel) * width);
  const rows = Math.max(1, Math.floor(LATENTS_AT_ONCE / nLatents));
  for (let start = 0; start * dModel < h.length; start += rows) {
    const part = tf.tidy(() => of(h.subarray(start * dModel, (start + rows) * dModel)));
    values.set(takeData(part), start * width);
  }
  return values;
}

/** The encoder of these latents, of which the first `nFree` are free. */
function selectLatents(weights: Tensors, latents: readonly number[], nFree: number): Tensors {
  const chosen = indices(latents);
  const threshold = weights[THRESHOLD];
  return {
    'encoder.weight': tf.gather(weights['encoder.weight']!, chosen, 1),
    'encoder.bias': tf.gather(weights['encoder.bias']!, chosen),
    ...(threshold && {
      [THRESHOLD]:
        threshold.size === 1 ? tf.clone(threshold) : tf.gather(threshold, indices(latents.slice(0, nFree))),
    }),
  };
}

/**
 * Reads an SAE onto the current backend; the caller disposes it.
 * @throws {AppError} INVALID_INPUT when the file is not an SAE of this server.
 */
export async function loadSae(path: string): Promise<Sae> {
  return new Sae(await readSae(path));
}

function indices(latents: readonly number[]): tf.Tensor1D {
  return tf.tensor1d(Int32Array.from(latents), 'int32');
}

/** The tensor's numbers; frees it. */
function takeData(tensor: tf.Tensor): Float32Array {
  const data = tensor.dataSync<'float32'>().slice();
  tensor.dispose();
  return data;
}
