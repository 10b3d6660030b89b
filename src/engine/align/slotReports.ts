/** A slot's page: what drives it and what it writes. */
import * as tf from '@tensorflow/tfjs-core';
import type { SlotReport } from '../contract/alignment.ts';
import { computes } from '../model/captured.ts';
import type { LanguageModel } from '../model/languageModel.ts';
import { stackRows } from '../rows.ts';
import type { Sae } from '../sae/sae.ts';

const TOP_EXAMPLES = 10;
const TOP_TOKENS = 10;

/** One report a slot; `examples` are prompts' ids and raw activations `[dModel]`. */
export function reportSlots(
  model: LanguageModel,
  sae: Sae,
  examples: readonly { id: string; h: Float32Array }[],
): SlotReport[] {
  const { nConcepts, dModel } = sae.config;
  const slots = sae.slots(stackRows(examples, dModel));
  const latents = Array.from({ length: nConcepts }, (_, concept) => sae.slot(concept));
  const scores = computes(model) ? logitLens(model, sae, latents) : new Float32Array(0);
  const { dVocab } = model.config;
  return latents.map((index, concept) => {
    const activationOf = (i: number) => slots[i * nConcepts + concept]!;
    const strongest = largest(examples.length, TOP_EXAMPLES, activationOf);
    const raised = largest(dVocab, TOP_TOKENS, (id) => scores[concept * dVocab + id]!);
    return {
      index,
      concept,
      topExamples: strongest.map((i) => ({ promptId: examples[i]!.id, activation: activationOf(i) })),
      topTokens: raised.map((id) => ({
        token: model.tokenizer.decode([id]),
        score: scores[concept * dVocab + id]!,
      })),
    };
  });
}

/**
 * How much each latent's decoder column raises each token's logit when written straight into the unembedding (logit
 * lens, nostalgebraist 2020): the column centred and times the final layer norm's gain, its division left out.
 * `[latents, dVocab]`.
 */
export function logitLens(
  { weights: model }: LanguageModel,
  { weights, normalization }: Sae,
  latents: readonly number[],
): Float32Array {
  const scores = tf.tidy(() => {
    const decoder = weights['decoder.weight'] as tf.Tensor2D;
    const columns = tf.gather(decoder, tf.tensor1d(latents as number[], 'int32'));
    const written = tf.mul(tf.sub(columns, tf.mean(columns, 1, true)), normalization.scale);
    const normed = tf.mul(written, model['ln_f.weight']!) as tf.Tensor2D;
    return tf.matMul(normed, model['wte.weight'] as tf.Tensor2D, false, true);
  });
  const data = scores.dataSync<'float32'>().slice();
  scores.dispose();
  return data;
}

/** Indices of the `top` largest scores of `n`, descending; the first of equals goes first. */
export function largest(n: number, top: number, scoreOf: (i: number) => number): number[] {
  const indices = Array.from({ length: n }, (_, i) => i);
  return indices.sort((a, b) => scoreOf(b) - scoreOf(a) || a - b).slice(0, top);
}
