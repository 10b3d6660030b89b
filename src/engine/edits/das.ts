/**
 * Distributed alignment search (Geiger et al. 2023, "Finding Alignments Between Interpretable Causal Variables and
 * Distributed Neural Representations"): a subspace in which the activation of one prompt is put into another's, trained
 * so that the model then answers as the counterfactual asks. The base asks about concept a of an entity, the source about
 * b of another one, and the answer is to be the base entity's own for b. With `Q` the basis, `h ← h + Q Qᵀ (s − h)`.
 */
import * as tf from '@tensorflow/tfjs-core';
import type { Random } from '../../random.ts';
import { captureResidPost } from '../align/capture.ts';
import { causalSight } from '../model/attention.ts';
import { runBlocks, unembed } from '../model/decoder.ts';
import { type LanguageModel, prefixOf } from '../model/languageModel.ts';
import { cosineShare } from '../model/schedule.ts';
import type { Tokens } from '../model/tokens.ts';
import { gatherRows, softmaxCrossEntropy } from '../ops.ts';
import { createAdam } from './adam.ts';
import { interchange, orthonormal, randomSubspace, type Subspace, turning } from './subspace.ts';

/** A prompt that is to be answered as if it asked what the source asks. */
export interface Interchange {
  tokens: Tokens;
  source: Tokens;
  /** What is to follow, with what ends it. */
  answer: Tokens;
}

const BATCH_SIZE = 32;
/** Adam. The rate falls along a cosine to nothing; entries of a basis are of the order of 1 / √dModel. */
const RATE = 0.1;
const [BETA1, BETA2] = [0.9, 0.98];

export interface DasOptions {
  layer: number;
  /** Whether the edit stands at the tokens of the answer too. */
  later: boolean;
  steps: number;
  breathe(): Promise<unknown>;
}

/** Rows with what the blocks up to the layer make of them, which training leaves as it is. */
interface Prepared {
  /** Tokens to which every row is padded. */
  T: number;
  rows: readonly PreparedRow[];
}

interface PreparedRow {
  /** Of the base with its answer, `[tokens, dModel]`. */
  h: Float32Array;
  /** Of the source, at the edited positions, `[edited, dModel]`. */
  s: Float32Array;
  /** First edited position: the last prompt token. */
  at: number;
  answer: Tokens;
}

/** Runs bases and sources through the blocks up to the layer, each followed by the answer. */
export async function prepareDas(
  model: LanguageModel,
  rows: readonly Interchange[],
  { layer, later, breathe }: Pick<DasOptions, 'layer' | 'later' | 'breathe'>,
): Promise<Prepared> {
  const { dModel } = model.config;
  const capture = async (sequences: Tokens[], positions: number[][]) => {
    const h = await captureResidPost(model, sequences, { layer, positions, breathe });
    let from = 0;
    return positions.map((own) => {
      const rows = h.subarray(from * dModel, (from + own.length) * dModel);
      from += own.length;
      return rows;
    });
  };
  const said = (prompt: Tokens, { answer }: Interchange) => [...prompt, ...answer.slice(0, -1)];
  const bases = rows.map((row) => said(row.tokens, row));
  const sources = rows.map((row) => said(row.source, row));
  const all = bases.map((tokens) => tokens.map((_, i) => i));
  const edited = rows.map(({ source, answer }) =>
    Array.from({ length: later ? answer.length : 1 }, (_, i) => source.length - 1 + i),
  );
  const h = await capture(bases, all);
  const s = await capture(sources, edited);
  return {
    T: bases.reduce((longest, { length }) => Math.max(longest, length), 1),
    rows: rows.map(({ tokens, answer }, i) => ({ h: h[i]!, s: s[i]!, at: tokens.length - 1, answer })),
  };
}

/**
 * Trains a subspace of `k` dimensions from a random one. Returns it with the mean loss of the last tenth of the steps,
 * nats a token of the answers.
 */
export async function trainDas(
  model: LanguageModel,
  prepared: Prepared,
  random: Random,
  k: number,
  { layer, steps, breathe }: DasOptions,
): Promise<{ subspace: Subspace; loss: number }> {
  const { dModel } = model.config;
  let subspace = randomSubspace(random, dModel, k);
  const adam = createAdam(dModel * k, BETA1, BETA2);
  const losses: number[] = [];
  let order: PreparedRow[] = [];
  for (let step = 1; step <= steps; step++) {
    if (order.length === 0) order = random.shuffle([...prepared.rows]);
    const { loss, gradient } = lossOf(model, layer, order.splice(0, BATCH_SIZE), prepared.T, subspace);
    const rate = (RATE / Math.sqrt(dModel)) * cosineShare(step, steps);
    const moved = Float64Array.from(subspace.basis);
    adam(moved, turning(subspace, gradient), rate, step);
    subspace = orthonormal(moved, dModel, k);
    losses.push(loss);
    await breathe();
  }
  const last = losses.slice(-Math.ceil(steps / 10));
  return { subspace, loss: last.reduce((sum, loss) => sum + loss, 0) / last.length };
}

/** Mean cross-entropy of the answers' tokens under the interchange, with its gradient for the basis. */
function lossOf(
  model: LanguageModel,
  layer: number,
  rows: readonly PreparedRow[],
  T: number,
  { dModel: C, k, basis }: Subspace,
): { loss: number; gradient: Float32Array } {
  const B = rows.length;
  const h = new Float32Array(B * T * C);
  const s = new Float32Array(B * T * C);
  const edited = new Float32Array(B * T);
  rows.forEach((row, i) => {
    h.set(row.h, i * T * C);
    s.set(row.s, (i * T + row.at) * C);
    edited.fill(1, i * T + row.at, i * T + row.at + row.s.length / C);
  });
  const places = rows.flatMap(({ at, answer }, i) => answer.map((_, step) => i * T + at + step));
  const targets = rows.flatMap(({ answer }) => [...answer]);
  const { config, weights } = model;
  const [loss, gradient] = tf.tidy(() => {
    const from = tf.tensor2d(h, [B * T, C]);
    // Where nothing is edited, source and base are alike.
    const mask = tf.tensor2d(edited, [B * T, 1]);
    const to = tf.add(tf.mul(tf.tensor2d(s, [B * T, C]), mask), tf.mul(from, tf.sub(1, mask))) as tf.Tensor2D;
    const compute = (q: tf.Tensor): tf.Scalar => {
      const resid = tf.reshape(interchange(from, to, q as tf.Tensor2D), [B, T, C]) as tf.Tensor3D;
      const sight = causalSight(B, T, prefixOf(model));
      const above = runBlocks(config, weights, resid, sight, { from: layer + 1 }).resid;
      const read = gatherRows(tf.reshape(above, [B * T, C]), tf.tensor1d(places, 'int32')); // [n, C]
      const logits = unembed(config, weights, tf.reshape(read, [1, places.length, C]) as tf.Tensor3D);
      const flat = tf.reshape(logits, [places.length, config.dVocab]) as tf.Tensor2D;
      return tf.mean(softmaxCrossEntropy(flat, tf.tensor1d(targets, 'int32')));
    };
    const { value, grad } = tf.valueAndGrad(compute)(tf.tensor2d(basis, [C, k]));
    return [value, grad];
  });
  const read = { loss: loss!.dataSync()[0]!, gradient: gradient!.dataSync<'float32'>().slice() };
  tf.dispose([loss!, gradient!]);
  return read;
}
