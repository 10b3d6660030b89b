/** The curriculum's two objectives as functions of (weights, batch), made of the terms in `losses.ts`. */
import * as tf from '@tensorflow/tfjs-core';
import type { EvalFunction, LossFunction, Tensors } from '../step/stepper.ts';
import * as losses from './losses.ts';
import { decode, encode, type Latents, type SaeConfig, valueLogits } from './sae.ts';
import type { AlignmentSettings } from './settings.ts';

type ObjectiveSettings = Pick<AlignmentSettings, 'weights' | 'mode' | 'orthoStopSlots'>;
type Terms = Record<string, tf.Scalar>;

/**
 * Stage 1, without labels: reconstruction and sparsity over all latents as one dictionary; batch `x [B, dModel]`.
 * With `TOPK` the k is the sparsity, in both stages.
 */
export function pretrainLoss(config: SaeConfig, { weights }: ObjectiveSettings): LossFunction {
  return (saeWeights, { x }) => {
    const latents = encode(config, saeWeights, x as tf.Tensor2D);
    const terms: Terms = { recon: losses.recon(decode(saeWeights, latents), x as tf.Tensor2D) };
    if (isSparsePenalised(config, weights.sparse)) {
      terms.sparse = losses.sparse(tf.concat2d([latents.free, latents.slots], 1));
    }
    return weighted(terms, weights);
  };
}

/** Stage 2, with labels; the batch is that of `labelledBatches`. Terms of weight 0 are not computed. */
export function posttrainLoss(config: SaeConfig, settings: ObjectiveSettings): LossFunction {
  return (saeWeights, batch) => {
    const latents = encode(config, saeWeights, batch.x as tf.Tensor2D);
    return weighted(posttrainTerms(config, settings, saeWeights, batch, latents), settings.weights);
  };
}

/** What training looks at on validation batches, all rows together unless said otherwise. */
export function validationEval(config: SaeConfig, settings: ObjectiveSettings): EvalFunction {
  const { weights } = settings;
  return (saeWeights, batch) => {
    const x = batch.x as tf.Tensor2D;
    const latents = encode(config, saeWeights, x);
    const { loss } = weighted(posttrainTerms(config, settings, saeWeights, batch, latents), weights);
    const fired = tf.cast(tf.notEqual(latents.free, 0), 'float32');
    const measures: Tensors = {
      loss,
      slots: latents.slots, // [B, C]
      squaredError: tf.sum(tf.squaredDifference(decode(saeWeights, latents), x)),
      rowsFired: tf.sum(fired, 0), // [nFree]
    };
    if (config.valueHeads) measures.valueBest = tf.argMax(valueLogits(config, saeWeights, latents.slots), 1); // [B]
    return measures;
  };
}

function posttrainTerms(
  config: SaeConfig,
  { weights: w, mode, orthoStopSlots }: ObjectiveSettings,
  saeWeights: Tensors,
  batch: Tensors,
  latents: Latents,
): Terms {
  const { free, slots } = latents;
  const concepts = batch.concepts as tf.Tensor2D;
  const terms: Terms = {};
  if (config.valueHeads) {
    terms.value = losses.value(valueLogits(config, saeWeights, slots), batch.answers as tf.Tensor1D);
  }
  if (mode === 'SEPARATE_VALUE') return terms;
  if (w.recon) terms.recon = losses.recon(decode(saeWeights, latents), batch.x as tf.Tensor2D);
  if (isSparsePenalised(config, w.sparse)) terms.sparse = losses.sparse(free);
  if (w.bindMse) terms.bindMse = losses.bindMse(slots, concepts);
  if (w.bindCrossEntropy) {
    terms.bindCrossEntropy = losses.bindCrossEntropy(slots, concepts, w.bindLogitScale);
  }
  if (w.indep) terms.indep = losses.indep(free);
  if (w.ortho) terms.ortho = losses.ortho(slots, free, orthoStopSlots);
  if (w.counterfactual) terms.counterfactual = counterfactualTerm(saeWeights, latents, batch);
  if (w.silence) {
    terms.silence = losses.silence(encode(config, saeWeights, batch.silent as tf.Tensor2D).slots);
  }
  return terms;
}

function isSparsePenalised({ activation }: SaeConfig, weight: number): boolean {
  return weight > 0 && activation !== 'TOPK';
}

/** Slot a to 0, slot b to 1, the others as they are. */
function counterfactualTerm(saeWeights: Tensors, { free, slots }: Latents, batch: Tensors): tf.Scalar {
  const targets = batch.targets as tf.Tensor2D;
  const others = tf.sub(1, tf.maximum(batch.concepts!, targets)); // 0 at a and b
  const swapped = tf.add(tf.mul(slots, others), targets) as tf.Tensor2D;
  const decoded = decode(saeWeights, { free, slots: swapped });
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
