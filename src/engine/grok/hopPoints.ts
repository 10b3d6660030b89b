/** How the slots of SAEs bind at the hops of a model's questions, and what hangs on them. */
import * as tf from '@tensorflow/tfjs-core';
import { measureBinding } from '../align/bind.ts';
import type { HopPoint } from '../contract/analysis.ts';
import type { LanguageModel } from '../model/languageModel.ts';
import { encode } from '../sae/autoencoder.ts';
import type { StoredSae } from '../sae/file.ts';
import { Sae } from '../sae/sae.ts';
import { type Answers, type Edit, measureAnswers } from './answers.ts';
import { captureHop, HOPS } from './capture.ts';
import type { TwoHopQuestion } from './questions.ts';

interface Ask {
  layer: number;
  breathe(): Promise<void>;
}

/** Hop 1, then hop 2, read by the SAE of both hops or by the SAE of each; `clean` is what the model answers unedited. */
export async function measureHops(
  model: LanguageModel,
  saes: readonly StoredSae[],
  heldOut: readonly TwoHopQuestion[],
  clean: Answers,
  ask: Ask,
): Promise<HopPoint[]> {
  const points: HopPoint[] = [];
  for (const hop of HOPS) {
    const sae = new Sae(saes[hop] ?? saes[0]!);
    try {
      points.push(await measureHop(model, sae, heldOut, hop, clean, ask));
    } finally {
      sae.dispose();
    }
  }
  return points;
}

async function measureHop(
  model: LanguageModel,
  sae: Sae,
  heldOut: readonly TwoHopQuestion[],
  hop: 0 | 1,
  clean: Answers,
  ask: Ask,
): Promise<HopPoint> {
  const { nConcepts } = sae.config;
  const { h, relations } = await captureHop(model, heldOut, hop, ask, ask.breathe);
  const slots = sae.slots(h);
  const { accuracy, top3, top5, diagonalStrength, matrix } = measureBinding(slots, relations, nConcepts);
  const ablated = await measureAnswers(model, heldOut, { ...ask, edit: silencing(sae, heldOut, hop) });
  const directions = Array.from({ length: nConcepts }, (_, concept) => [...sae.columns([sae.slot(concept)])]);
  return {
    hop: (hop + 1) as 1 | 2,
    top1: accuracy,
    top3,
    top5,
    diagonalStrength,
    matrix,
    directions,
    ablationEffect: (clean.correct - ablated.correct) / clean.questions,
  };
}

/** Takes what the hop's slots write out of the residual stream, and leaves what the SAE does not explain. */
function silencing(sae: Sae, questions: readonly TwoHopQuestion[], hop: 0 | 1): Edit {
  const { config, weights, normalization } = sae;
  return (resid, start) => {
    const [B, T, C] = resid.shape;
    const chosen = new Float32Array(B * T);
    for (let i = 0; i < B; i++) chosen[i * T + questions[start + i]!.positions[hop]] = 1;
    const h = tf.reshape(resid, [B * T, C]);
    const x = tf.div(tf.sub(h, tf.tensor1d(normalization.mean)), normalization.scale) as tf.Tensor2D;
    const columns = tf.slice2d(
      weights['decoder.weight'] as tf.Tensor2D,
      [config.nFree, 0],
      [config.nConcepts, C],
    );
    const written = tf.mul(tf.matMul(encode(config, weights, x).slots, columns), normalization.scale);
    return tf.reshape(tf.sub(h, tf.mul(written, tf.tensor2d(chosen, [B * T, 1]))), [B, T, C]);
  };
}
