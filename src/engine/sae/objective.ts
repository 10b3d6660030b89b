/** The curriculum's two objectives as functions of (weights, batch), made of the terms in `losses.ts`. */
import * as tf from '@tensorflow/tfjs-core';
import { type AlignmentSettings, isTopK } from '../contract/alignmentSettings.ts';
import type { SaeConfig } from '../contract/sae.ts';
import { hasKernels } from '../native/rawOps.ts';
import type { EvalFunction, LossFunction, Tensors } from '../step/stepper.ts';
import {
  decode,
  encode,
  encodeBatch,
  foldDecoderNorm,
  joinLatents,
  type Latents,
  THRESHOLD,
  type TrainingLatents,
  valueLogits,
} from './autoencoder.ts';
import * as losses from './losses.ts';

export type ObjectiveSettings = Pick<
  AlignmentSettings,
  'weights' | 'mode' | 'orthoStopSlots' | 'decoderNorm'
>;
type Terms = Record<string, tf.Scalar>;

/**
 * Stage 1, without labels: reconstruction and sparsity over all latents as one dictionary; batch `x [B, dModel]` and,
 * where dead latents are revived, `dead [nFree]`. With `TOPK` and `BATCH_TOPK` the k is the sparsity, in both stages.
 */
export function pretrainLoss(config: SaeConfig, settings: ObjectiveSettings): LossFunction {
  const { weights: w } = settings;
  return (trained, batch) => {
    const weights = inForce(config, settings, trained);
    const latents = encodeBatch(config, weights, batch.x as tf.Tensor2D);
    const terms = reconstructionTerms(config, settings, weights, batch, latents);
    if (isSparsePenalised(config, w.sparse)) terms.sparse = losses.sparse(joinLatents(latents));
    return { ...weighted(terms, w), ...observed(latents) };
  };
}

/** Stage 2, with labels; the batch is that of `labelledBatches`. Terms of weight 0 are not computed. */
export function posttrainLoss(config: SaeConfig, settings: ObjectiveSettings): LossFunction {
  return (trained, batch) => {
    const weights = inForce(config, settings, trained);
    const latents = encodeBatch(config, weights, batch.x as tf.Tensor2D);
    const terms = posttrainTerms(config, settings, weights, batch, latents);
    return { ...weighted(terms, settings.weights), ...observed(latents) };
  };
}

/** `rowsFired [nFree]`: rows of a training batch `x` on which each free latent fires. */
export function firedEval(config: SaeConfig, settings: ObjectiveSettings): EvalFunction {
  return (trained, { x }) => {
    const { free } = encodeBatch(config, inForce(config, settings, trained), x as tf.Tensor2D);
    return { rowsFired: countFired(free) };
  };
}

/** How the SAE, used as it would be stored now, rebuilds `x [B, dModel]`; `BATCH_TOPK` takes `threshold [1]` too. */
export function reconstructionEval(config: SaeConfig, settings: ObjectiveSettings): EvalFunction {
  return (trained, batch) => {
    const weights = inUse(config, settings, trained, batch);
    return measured(weights, encode(config, weights, batch.x as tf.Tensor2D), batch);
  };
}

/** The same on a labelled batch, with the loss and what tells whether slots are bound. */
export function validationEval(config: SaeConfig, settings: ObjectiveSettings): EvalFunction {
  return (trained, batch) => {
    const weights = inUse(config, settings, trained, batch);
    const latents = encode(config, weights, batch.x as tf.Tensor2D);
    const terms = posttrainTerms(config, settings, weights, batch, { ...latents, pre: null, smallest: null });
    const measures: Tensors = {
      ...measured(weights, latents, batch),
      loss: weighted(terms, settings.weights).loss,
      slots: latents.slots, // [B, C]
    };
    if (config.valueHeads) measures.valueBest = tf.argMax(valueLogits(config, weights, latents.slots), 1); // [B]
    return measures;
  };
}

/** The weights that encode and decode, made of those that are trained. */
function inForce(
  config: SaeConfig,
  { decoderNorm }: Pick<ObjectiveSettings, 'decoderNorm'>,
  trained: Tensors,
): Tensors {
  return decoderNorm === 'UNIT' ? foldDecoderNorm(config, trained) : trained;
}

function inUse(config: SaeConfig, settings: ObjectiveSettings, trained: Tensors, batch: Tensors): Tensors {
  const weights = inForce(config, settings, trained);
  return batch[THRESHOLD] ? { ...weights, [THRESHOLD]: batch[THRESHOLD] } : weights;
}

/** Sums over the batch's rows. */
function measured(weights: Tensors, latents: Latents, { x }: Tensors): Tensors {
  return {
    squaredError: tf.sum(tf.squaredDifference(decode(weights, latents), x!)),
    rowsFired: countFired(latents.free), // [nFree]
  };
}

function countFired(free: tf.Tensor2D): tf.Tensor {
  return tf.sum(tf.cast(tf.notEqual(free, 0), 'float32'), 0);
}

/** What training keeps a history of. */
function observed({ smallest }: TrainingLatents): Terms {
  return smallest ? { smallest } : {};
}

/** What needs no labels and is the same in both stages. */
function reconstructionTerms(
  config: SaeConfig,
  { weights: w }: ObjectiveSettings,
  weights: Tensors,
  { x, dead }: Tensors,
  latents: Latents & { pre: tf.Tensor2D | null },
): Terms {
  const terms: Terms = {};
  if (!w.recon && !dead) return terms;
  const reconstruction = decode(weights, latents, config.activation);
  if (w.recon) terms.recon = losses.recon(reconstruction, x as tf.Tensor2D);
  if (dead && latents.pre) {
    const decoder = tf.slice2d(
      weights['decoder.weight'] as tf.Tensor2D,
      [0, 0],
      [config.nFree, config.dModel],
    );
    const error = tf.sub(x!, reconstruction) as tf.Tensor2D;
    terms.aux = losses.aux(error, latents.pre, decoder, dead as tf.Tensor1D, kAuxOf(config));
  }
  return terms;
}

/** Dead latents that rebuild the error of a row together: half of dModel (Gao et al. 2024, appendix B.1). */
function kAuxOf({ dModel, nFree }: SaeConfig): number {
  return Math.min(nFree, Math.max(1, Math.floor(dModel / 2)));
}

function posttrainTerms(
  config: SaeConfig,
  settings: ObjectiveSettings,
  saeWeights: Tensors,
  batch: Tensors,
  latents: Latents & { pre: tf.Tensor2D | null; smallest: tf.Scalar | null },
): Terms {
  const { weights: w, mode } = settings;
  const { slots } = latents;
  const concepts = batch.concepts as tf.Tensor2D;
  const value: Terms = config.valueHeads
    ? { value: losses.value(valueLogits(config, saeWeights, slots), batch.answers as tf.Tensor1D) }
    : {};
  if (mode === 'SEPARATE_VALUE') return value;
  const terms = { ...value, ...reconstructionTerms(config, settings, saeWeights, batch, latents) };
  Object.assign(terms, penaltyTerms(config, settings, latents));
  if (w.bindMse) terms.bindMse = losses.bindMse(slots, concepts);
  if (w.bindCrossEntropy) {
    terms.bindCrossEntropy = losses.bindCrossEntropy(slots, concepts, w.bindLogitScale);
  }
  if (w.counterfactual) terms.counterfactual = counterfactualTerm(config, saeWeights, latents, batch);
  if (w.silence) {
    terms.silence = losses.silence(encode(config, saeWeights, batch.silent as tf.Tensor2D).slots);
  }
  return terms;
}

/** `sparse`, `indep` and `ortho`, whichever have a weight; the kernels make all three at the price of one. */
function penaltyTerms(
  config: SaeConfig,
  { weights: w, orthoStopSlots }: ObjectiveSettings,
  { free, slots }: Latents,
): Terms {
  const wanted = { sparse: isSparsePenalised(config, w.sparse), indep: w.indep > 0, ortho: w.ortho > 0 };
  const terms: Terms = {};
  if (hasKernels() && wanted.indep) {
    const all = tf.unstack(losses.penalties(slots, free, orthoStopSlots)) as tf.Scalar[];
    Object.keys(wanted).forEach((name, i) => {
      if (wanted[name as keyof typeof wanted]) terms[name] = all[i]!;
    });
    return terms;
  }
  if (wanted.sparse) terms.sparse = losses.sparse(free);
  if (wanted.indep) terms.indep = losses.indep(free);
  if (wanted.ortho) terms.ortho = losses.ortho(slots, free, orthoStopSlots);
  return terms;
}

function isSparsePenalised({ activation }: SaeConfig, weight: number): boolean {
  return weight > 0 && !isTopK(activation);
}

/** Slot a to 0, slot b to 1, the others as they are. */
function counterfactualTerm(
  { activation }: SaeConfig,
  saeWeights: Tensors,
  { free, slots }: Latents,
  batch: Tensors,
): tf.Scalar {
  const targets = batch.targets as tf.Tensor2D;
  const others = tf.sub(1, tf.maximum(batch.concepts!, targets)); // 0 at a and b
  const swapped = tf.add(tf.mul(slots, others), targets) as tf.Tensor2D;
  const decoded = decode(saeWeights, { free, slots: swapped }, activation);
  return losses.counterfactual(decoded, batch.partner as tf.Tensor2D, batch.paired as tf.Tensor1D);
}

/** The weighted sum as `loss`, and each term unweighted as `loss/<term>`. */
function weighted(terms: Terms, weights: AlignmentSettings['weights']): { loss: tf.Scalar } & Terms {
  const parts = Object.entries(terms).map(([name, term]) =>
    tf.mul(term, weights[name as keyof typeof weights]),
  );
  const named = Object.fromEntries(Object.entries(terms).map(([name, term]) => [`loss/${name}`, term]));
  return { ...named, loss: tf.addN(parts) as tf.Scalar };
}
