/**
 * The terms of the two stages' losses, each by the name of its coefficient: what of a batch it takes. Another term is a
 * function in `losses.ts`, a weight in `contract/alignmentSettings.ts`, and a row here.
 */
import * as tf from '@tensorflow/tfjs-core';
import { type AlignmentSettings, isTopK, type LossWeights } from '../contract/alignmentSettings.ts';
import type { SaeConfig } from '../contract/sae.ts';
import { hasKernels } from '../native/rawOps.ts';
import { once } from '../once.ts';
import type { Tensors } from '../step/stepper.ts';
import { encodeSlots } from './autoencoder.ts';
import type { Encoding } from './encoding.ts';
import * as losses from './losses.ts';

export type ObjectiveSettings = Pick<
  AlignmentSettings,
  'weights' | 'mode' | 'orthoStopSlots' | 'decoderNorm' | 'freezeFree'
> & { pretrain: Pick<AlignmentSettings['pretrain'], 'sparse'> };
export type Terms = Record<string, tf.Scalar>;

/** A batch with what the SAE makes of it. */
export interface Encoded {
  config: SaeConfig;
  settings: ObjectiveSettings;
  /** Of the SAE, in the form in which they encode and decode. */
  weights: Tensors;
  batch: Tensors;
  latents: Encoding;
  /** Of the value heads, `[B, dVocab]`, where the SAE has them. */
  values: () => tf.Tensor2D;
}

/** The same, with what several terms share; each is computed once, when the first of them asks. */
interface Made extends Encoded {
  /** `sparse`, `indep` and `ortho` at the price of one, by the kernels; null where they are computed one by one. */
  penalties: (() => tf.Scalar[]) | null;
}

type LossTerm = Exclude<keyof LossWeights, 'bindLogitScale'>;
/** Null where the SAE or the batch has nothing to compute the term from. */
type Term = (made: Made) => tf.Scalar | null;

const recon: Term = ({ batch, latents }) => losses.recon(latents.reconstruction(), batch.x as tf.Tensor2D);

const aux: Term = ({ config, weights, batch: { x, dead }, latents }) => {
  const { pre } = latents;
  if (!dead || !pre) return null;
  const { nFree, dModel } = config;
  const error = tf.sub(x!, latents.reconstruction()) as tf.Tensor2D;
  const decoder = tf.slice2d(weights['decoder.weight'] as tf.Tensor2D, [0, 0], [nFree, dModel]);
  return losses.aux(error, pre, decoder, dead as tf.Tensor1D, kAuxOf(config));
};

/** Terms without labels; over all latents as one dictionary. */
const PRETRAIN = {
  recon,
  aux,
  sparse: ({ config, settings, latents }) =>
    isTopK(config.activation) || !settings.pretrain.sparse ? null : losses.sparse(latents.all()),
} satisfies Partial<Record<LossTerm, Term>>;

const POSTTRAIN: Record<LossTerm, Term> = {
  value: ({ config, values, batch }) =>
    config.valueHeads && losses.value(values(), batch.answers as tf.Tensor1D),
  recon,
  aux,
  sparse: ({ config, latents, penalties }) =>
    isTopK(config.activation) ? null : (penalties?.()[0] ?? losses.sparse(latents.free())),
  indep: ({ latents, penalties }) => penalties?.()[1] ?? losses.indep(latents.free()),
  ortho: ({ settings, latents: { slots, free }, penalties }) =>
    penalties?.()[2] ?? losses.ortho(slots, free(), settings.orthoStopSlots),
  bindMse: ({ latents, batch }) => losses.bindMse(latents.slots, batch.concepts as tf.Tensor2D),
  bindCrossEntropy: ({ settings, latents, batch }) =>
    losses.bindCrossEntropy(latents.slots, batch.concepts as tf.Tensor2D, settings.weights.bindLogitScale),
  counterfactual: ({ latents, batch }) =>
    losses.counterfactual(
      decodeSwapped(latents, batch),
      batch.partner as tf.Tensor2D,
      batch.paired as tf.Tensor1D,
    ),
  silence: ({ config, weights, batch }) =>
    losses.silence(encodeSlots(config, weights, batch.silent as tf.Tensor2D)),
};

export function pretrainTerms(encoded: Encoded): Terms {
  return termsOf(PRETRAIN, encoded);
}

export function posttrainTerms(encoded: Encoded): Terms {
  const { value } = POSTTRAIN;
  return termsOf(encoded.settings.mode === 'SEPARATE_VALUE' ? { value } : POSTTRAIN, encoded);
}

/** In the order of the table; terms whose coefficient is 0 are not computed. */
function termsOf(table: Partial<Record<LossTerm, Term>>, encoded: Encoded): Terms {
  const { latents, settings } = encoded;
  const { weights: coefficients, orthoStopSlots } = settings;
  const asksIndep = coefficients.indep > 0;
  const penalties = () =>
    tf.unstack(losses.penalties(latents.slots, latents.free(), orthoStopSlots, asksIndep)) as tf.Scalar[];
  const made = {
    ...encoded,
    penalties: hasKernels() && (asksIndep || coefficients.ortho > 0) ? once(penalties) : null,
  };
  const terms: Terms = {};
  for (const [name, term] of Object.entries(table)) {
    const value = coefficients[name as LossTerm] > 0 ? term(made) : null;
    if (value) terms[name] = value;
  }
  return terms;
}

/** The weighted sum as `loss`, and each term unweighted as `loss/<term>`. */
export function weighted(terms: Terms, coefficients: LossWeights): { loss: tf.Scalar } & Terms {
  const parts = Object.entries(terms).map(([name, term]) => tf.mul(term, coefficients[name as LossTerm]));
  const named = Object.fromEntries(Object.entries(terms).map(([name, term]) => [`loss/${name}`, term]));
  return { ...named, loss: tf.addN(parts) as tf.Scalar };
}

/** Dead latents that rebuild the error of a row together: half of dModel (Gao et al. 2024, appendix B.1). */
function kAuxOf({ dModel, nFree }: SaeConfig): number {
  return Math.min(nFree, Math.max(1, Math.floor(dModel / 2)));
}

/** Slot a to 0, slot b to 1, the others as they are. */
function decodeSwapped({ slots, decode }: Encoding, batch: Tensors): tf.Tensor2D {
  const targets = batch.targets as tf.Tensor2D;
  const others = tf.sub(1, tf.maximum(batch.concepts!, targets)); // 0 at a and b
  const swapped = tf.add(tf.mul(slots, others), targets) as tf.Tensor2D;
  return decode(swapped);
}
