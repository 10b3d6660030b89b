/**
 * The terms of the training objective (AlignSAE, arXiv 2512.02004, section 3: the curriculum), each a scalar and a
 * pure function of its tensors. Weights are applied by the caller. Where the paper leaves a normalisation open, the
 * authors' code decides: squares of covariances are summed over all pairs, not averaged.
 *
 * Shape letters: B rows, d dModel, C nConcepts, V dVocab.
 */
import * as tf from '@tensorflow/tfjs-core';
import { softmaxCrossEntropy } from '../ops.ts';
import * as ops from './ops.ts';
import { centre, keepWhere, keptMask, meanAbs, stopGradient, sumSquares } from './ops.ts';

/** Mean squared error `mean((x̂ − x)²)`; both `[B, d]`. Paper: reconstruction, in both stages. */
export function recon(reconstruction: tf.Tensor2D, x: tf.Tensor2D): tf.Scalar {
  return meanSquaredError(reconstruction, x);
}

/** `mean(|f|)` over rows and latents; `latents [B, n]`. Paper: sparsity. */
export function sparse(latents: tf.Tensor2D): tf.Scalar {
  return meanAbs(latents);
}

/** `mean((s − Y)²)`, `Y` the concepts' one-hot; both `[B, C]`. Paper: binding, in the authors' code. */
export function bindMse(slots: tf.Tensor2D, concepts: tf.Tensor2D): tf.Scalar {
  return meanSquaredError(slots, concepts);
}

/** Cross-entropy `−mean(Σ Y · log softmax(scale · s))`; both `[B, C]`. Paper: binding, in its text. */
export function bindCrossEntropy(slots: tf.Tensor2D, concepts: tf.Tensor2D, scale: number): tf.Scalar {
  const own = tf.argMax(concepts, 1) as tf.Tensor1D; // [B]
  return tf.mean(softmaxCrossEntropy(tf.mul(slots, scale), own));
}

/**
 * Revival of dead latents (AuxK, Gao et al. 2024, section 2.4): `mean((e − ê)²)`, where `e = x − x̂ [B, d]` is what the
 * others leave over, through which no gradient passes, and ê what the `kAux` strongest dead latents of each row rebuild
 * of it. Scaled by `min(1, number dead / kAux)`, so that it is 0 where none is dead. As in SAELens (6.54,
 * `calculate_topk_aux_loss`), pre-activations count as they are, without ReLU: below 0, no gradient would reach them.
 * `pre [B, nFree]`, `decoder [nFree, d]`, `dead [nFree]` 1 or 0.
 */
export function aux(
  error: tf.Tensor2D,
  pre: tf.Tensor2D,
  decoder: tf.Tensor2D,
  dead: tf.Tensor1D,
  kAux: number,
): tf.Scalar {
  const strongest = keepWhere(pre, (values) => {
    const alive = tf.mul(tf.sub(1, dead), -1e9); // [nFree], below any pre-activation
    return tf.mul(keptMask(tf.add(values, alive), kAux), dead);
  });
  const rebuilt = tf.matMul(strongest, decoder) as tf.Tensor2D; // [B, d]
  const scale = tf.minimum(tf.div(tf.sum(dead), kAux), 1);
  return tf.mul(meanSquaredError(rebuilt, stopGradient(error)), scale);
}

/**
 * Squared off-diagonal covariance of the free latents, `Σ_{i≠j} C²ᵢⱼ` with `C = FᵀF / B` for centred `F [B, nFree]`.
 * Paper: independence. Never builds C: `‖FᵀF‖² = ‖FFᵀ‖²` needs only `[B, B]`, and the diagonal is the variances.
 */
export function indep(free: tf.Tensor2D): tf.Scalar {
  const [B] = free.shape;
  const F = centre(free);
  const gram = tf.div(tf.matMul(F, F, false, true), B); // [B, B]
  const variances = tf.mean(tf.square(F), 0); // [nFree]
  return tf.sub(sumSquares(gram), sumSquares(variances));
}

/**
 * Squared cross-covariance of slots and free latents, `‖SᵀF / B‖²` for centred `S [B, C]`, `F [B, nFree]`. Paper:
 * orthogonality. With `stopSlots` its gradient reaches the free latents alone: coupled, it is also minimised by
 * shrinking the slots.
 */
export function ortho(slots: tf.Tensor2D, free: tf.Tensor2D, stopSlots: boolean): tf.Scalar {
  const [B] = free.shape;
  const S = centre(stopSlots ? stopGradient(slots) : slots);
  const covariance = tf.div(tf.matMul(S, centre(free), true, false), B); // [C, nFree]
  return sumSquares(covariance);
}

/** `[3]`: `sparse`, `indep`, 0 where it is not asked for, and `ortho` together, by the addon's kernels. */
export function penalties(
  slots: tf.Tensor2D,
  free: tf.Tensor2D,
  stopSlots: boolean,
  asksIndep: boolean,
): tf.Tensor1D {
  return ops.penalties(free, centre(stopSlots ? stopGradient(slots) : slots), asksIndep);
}

/** Cross-entropy of the answer's first token; `logits [B, V]`, `answers [B]` int32. Paper: value prediction. */
export function value(logits: tf.Tensor2D, answers: tf.Tensor1D): tf.Scalar {
  return tf.mean(softmaxCrossEntropy(logits, answers));
}

/**
 * Ours, beyond the paper: after slot a is set to 0 and slot b to 1, the decoded row matches the activation of the
 * same entity's prompt about b; both `[B, d]`. `weights [B]` is 0 where the entity has no such prompt.
 */
export function counterfactual(swapped: tf.Tensor2D, target: tf.Tensor2D, weights: tf.Tensor1D): tf.Scalar {
  const [, d] = swapped.shape;
  const counted = tf.mul(tf.sub(swapped, target), tf.expandDims(weights, 1)); // weights are 0 or 1
  return tf.div(sumSquares(counted), tf.mul(tf.maximum(tf.sum(weights), 1), d));
}

/** Ours, beyond the paper: `mean(s²)` at positions where no concept is in play; `slots [B, C]`. */
export function silence(slots: tf.Tensor2D): tf.Scalar {
  return tf.div(sumSquares(slots), slots.size);
}

function meanSquaredError(a: tf.Tensor2D, b: tf.Tensor2D): tf.Scalar {
  return tf.div(sumSquares(tf.sub(a, b)), a.size);
}
