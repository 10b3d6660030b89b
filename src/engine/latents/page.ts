/** A latent's page: when it fires, for what, and what it writes. */
import * as tf from '@tensorflow/tfjs-core';
import { createAuroc, labelConcepts, separabilityOrNull } from '../align/separability.ts';
import { largest, logitLens } from '../align/slotReports.ts';
import { type Firing, LATENT_LIST, type LatentPage, type LatentPrompt } from '../contract/latents.ts';
import { SLOT_ON } from '../edits/armed.ts';
import type { LoadedPair } from '../loaded.ts';
import { computes } from '../model/captured.ts';
import type { Sae } from '../sae/sae.ts';
import type { CapturedPrompts } from './capture.ts';

const BINS = 20;

/** One page a latent; null for one that the SAE does not have. */
export function describeLatents(
  pair: LoadedPair,
  captured: CapturedPrompts,
  latents: readonly number[],
): (LatentPage | null)[] {
  const exists = (latent: number) => latent >= 0 && latent < pair.sae.nLatents;
  const pages = describe(pair, captured, latents.filter(exists));
  return latents.map((latent) => pages.find((page) => page.latent === latent) ?? null);
}

function describe(
  { model, sae }: LoadedPair,
  { prompts, h, nConcepts }: CapturedPrompts,
  latents: readonly number[],
): LatentPage[] {
  if (latents.length === 0) return [];
  const columns = sae.only(h, latents); // [prompts, latents]
  // [latents, dVocab]; dVocab is 0 where there is no vocabulary.
  const scores = computes(model) ? logitLens(model, sae, latents) : new Float32Array(0);
  const cosines = decoderCosines(sae, latents); // [latents, nLatents]
  const { nLatents } = sae;
  const { dVocab } = model.config;
  return latents.map((latent, i) => {
    const values = Float32Array.from(prompts, (_, row) => columns[row * latents.length + i]!);
    const scoreOf = (id: number) => scores[i * dVocab + id]!;
    const cosineOf = (other: number) => (other === latent ? -Infinity : cosines[i * nLatents + other]!);
    const token = (id: number) => ({ token: model.tokenizer.decode([id]), score: scoreOf(id) });
    return {
      latent,
      ...describeValues({ isSlot: latent >= sae.config.nFree, nConcepts }, values, prompts),
      raised: largest(dVocab, LATENT_LIST, scoreOf)
        .map(token)
        .filter(({ score }) => score > 0),
      lowered: largest(dVocab, LATENT_LIST, (id) => -scoreOf(id))
        .map(token)
        .filter(({ score }) => score < 0),
      nearest: largest(nLatents, Math.min(LATENT_LIST, nLatents - 1), cosineOf).map((other) => ({
        latent: other,
        cosine: cosineOf(other),
      })),
    };
  });
}

function describeValues(
  { isSlot, nConcepts }: { isSlot: boolean; nConcepts: number },
  values: Float32Array,
  prompts: readonly LatentPrompt[],
) {
  const fires = isSlot ? (i: number) => values[i]! > SLOT_ON : (i: number) => values[i] !== 0;
  const all = prompts.map((_, i) => i);
  const learned = all.filter((i) => prompts[i]!.learned);
  const labels = labelConcepts(
    learned.map((i) => prompts[i]!.concept),
    nConcepts,
  );
  const aurocs = createAuroc(labels)(Float32Array.from(learned, (i) => values[i]!));
  const top = largest(values.length, LATENT_LIST, (i) => values[i]!).filter((i) => values[i]! > 0);
  return {
    firing: countFiring(all, fires),
    mean: values.reduce((sum, value) => sum + value, 0) / values.length,
    max: values.reduce((a, b) => Math.max(a, b), -Infinity),
    histogram: histogramOf(values),
    concepts: Array.from({ length: nConcepts }, (_, concept) => ({
      firing: countFiring(
        all.filter((i) => prompts[i]!.concept === concept),
        fires,
      ),
      separability: separabilityOrNull(aurocs[concept]!),
    })),
    topExamples: top.map((i) => ({ promptId: prompts[i]!.id, activation: values[i]! })),
  };
}

function countFiring(rows: readonly number[], fires: (i: number) => boolean): Firing {
  return { fired: rows.filter(fires).length, prompts: rows.length };
}

function histogramOf(values: Float32Array): LatentPage['histogram'] {
  const low = values.reduce((a, b) => Math.min(a, b), Infinity);
  const high = values.reduce((a, b) => Math.max(a, b), -Infinity);
  if (low === high) return [{ from: low, to: high, count: values.length }];
  const edge = (bin: number) => low + ((high - low) * bin) / BINS;
  const bins = Array.from({ length: BINS }, (_, i) => ({ from: edge(i), to: edge(i + 1), count: 0 }));
  for (const value of values)
    bins[Math.min(BINS - 1, Math.floor(((value - low) / (high - low)) * BINS))]!.count++;
  return bins;
}

/** Cosine of these decoder columns with all of them, `[latents, nLatents]`; 0 for a column of length 0. */
function decoderCosines({ weights }: Sae, latents: readonly number[]): Float32Array {
  const cosines = tf.tidy(() => {
    const decoder = weights['decoder.weight'] as tf.Tensor2D; // [nLatents, dModel]
    const lengths = tf.sqrt(tf.sum(tf.square(decoder), 1, true));
    const units = tf.div(decoder, tf.maximum(lengths, 1e-12)) as tf.Tensor2D;
    const chosen = tf.gather(units, tf.tensor1d(latents as number[], 'int32'));
    return tf.matMul(chosen, tf.transpose(units));
  });
  const data = cosines.dataSync<'float32'>().slice();
  cosines.dispose();
  return data;
}
