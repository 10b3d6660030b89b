/** One checkpoint of a two-hop model: what it answers, and how an SAE's slots bind at both hops. */
import { join } from 'node:path';
import * as tf from '@tensorflow/tfjs-core';
import { invalidInput } from '../../errors.ts';
import { measureBinding } from '../align/bind.ts';
import { captureResidPost } from '../align/capture.ts';
import type {
  CheckpointAnalysisJob,
  CheckpointAnalysisResult,
  GrokkingPoint,
  HopPoint,
} from '../contract/analysis.ts';
import type { GrokSettings } from '../contract/analysisSettings.ts';
import type { EngineDataset } from '../contract/dataset.ts';
import type { JobContext } from '../contract/protocol.ts';
import { type LanguageModel, loadLanguageModel } from '../model/languageModel.ts';
import { encode } from '../sae/autoencoder.ts';
import { type StoredSae, writeSae } from '../sae/file.ts';
import { Sae } from '../sae/sae.ts';
import { type Answers, type Edit, measureAnswers } from './answers.ts';
import { type HopActivations, trainHopSae } from './hopSae.ts';
import { answeringPlace, type HopPlace, placesOf } from './places.ts';
import { oneHopQuestions, type TwoHopQuestion, twoHopQuestions } from './questions.ts';

type Breathe = () => Promise<void>;

/** The hops by their number from 0. */
export const HOPS = [0, 1] as const;

/**
 * Measures the model and writes the SAEs; the same job gives the same numbers.
 * @throws {AppError} INVALID_INPUT when the layer is not the model's or the dataset has not the questions for it.
 */
export async function runCheckpointAnalysis(
  { settings, model: ref, dataset }: CheckpointAnalysisJob,
  context: JobContext,
): Promise<CheckpointAnalysisResult> {
  const model = await loadLanguageModel(ref);
  try {
    const { point, saes } = await analyseCheckpoint(model, dataset, settings, context);
    const files = [];
    for (const [i, sae] of saes.entries())
      files.push(await writeSae(join(context.workDir, `sae-${i}.safetensors`), sae));
    return { kind: 'CHECKPOINT_ANALYSIS', point, saes: files };
  } finally {
    model.dispose();
  }
}

/** All that a point is made of, with the SAEs (one, or one a hop) that its binding was measured by. */
export async function analyseCheckpoint(
  model: LanguageModel,
  dataset: EngineDataset,
  settings: GrokSettings,
  context: JobContext,
) {
  const { reporter } = context;
  const breathe = () => reporter.breathe();
  const ask = { layer: settings.layer, breathe };
  const train = twoHopQuestions(dataset, model.tokenizer, 'TRAIN', settings);
  const heldOut = twoHopQuestions(dataset, model.tokenizer, 'VALIDATION', settings);
  if (train.length === 0 || heldOut.length === 0)
    throw invalidInput(['dataset'], 'the dataset needs two-hop questions in its TRAIN and VALIDATION splits');
  reporter.progress({ phase: 'ANSWER', progress: 0, etaSeconds: null });
  const learned = await measureAnswers(model, train, ask);
  const composed = await measureAnswers(model, heldOut, ask);
  const single = oneHopQuestions(dataset, model.tokenizer, settings);
  const known = single.length > 0 ? await measureAnswers(model, single, ask) : null;

  reporter.progress({ phase: 'SAE', progress: 0.1, etaSeconds: null });
  const saes = await trainHopSaes(model, dataset, settings, context, (share) =>
    reporter.progress({ phase: 'SAE', progress: 0.1 + 0.75 * share, etaSeconds: null }),
  );
  reporter.progress({ phase: 'MEASURE', progress: 0.85, etaSeconds: null });
  const points: HopPoint[] = [];
  for (const hop of HOPS) {
    const sae = new Sae(saes[settings.shared ? 0 : hop]!);
    try {
      points.push(await measureHop(model, sae, heldOut, hop, composed, ask));
    } finally {
      sae.dispose();
    }
  }
  const point: GrokkingPoint = {
    train: countsOf(learned),
    heldOut: countsOf(composed),
    oneHop: known && countsOf(known),
    loss: learned.loss,
    weightNorm: weightNorm(model),
    logitMargin: composed.logitMargin,
    hops: points,
  };
  return { point, saes };
}

/**
 * The SAE of both hops, or one for each: the same model, dataset and settings give the same SAEs.
 * @param progress is told the share of the training that is done, 0–1.
 */
export async function trainHopSaes(
  model: LanguageModel,
  dataset: EngineDataset,
  settings: GrokSettings,
  context: JobContext,
  progress: (share: number) => void,
): Promise<StoredSae[]> {
  const questions = twoHopQuestions(dataset, model.tokenizer, 'TRAIN', settings);
  const breathe = () => context.reporter.breathe();
  if (settings.shared && questions.some(({ isImplicit }) => isImplicit))
    throw invalidInput(
      ['settings', 'analysis', 'shared'],
      'where answers leave E2 out, both hops are read at one token, so an SAE of both cannot tell them apart; set shared to false',
    );
  const captured = await Promise.all(HOPS.map((hop) => captureHop(model, questions, hop, settings, breathe)));
  const groups = settings.shared ? [captured] : captured.map((own) => [own]);
  const saes = [];
  for (const [i, group] of groups.entries()) {
    const train = (share: number) => progress((i + share) / groups.length);
    saes.push(await trainHopSae(model, group, dataset, settings, context, train));
  }
  return saes;
}

/**
 * For each hop the SAE that reads its relation's own token, null where the settings read none there; trained as those
 * above, on TRAIN questions, one activation being led to another of the same other relation.
 */
export async function trainRelationSaes(
  model: LanguageModel,
  dataset: EngineDataset,
  settings: GrokSettings,
  context: JobContext,
): Promise<(StoredSae | null)[]> {
  const questions = twoHopQuestions(dataset, model.tokenizer, 'TRAIN', settings);
  const breathe = () => context.reporter.breathe();
  const saes: (StoredSae | null)[] = [];
  for (const hop of HOPS) {
    const [place, answering] = placesOf(hop, settings, questions);
    const own = answering ? await captureHop(model, questions, hop, settings, breathe, place) : null;
    saes.push(own && (await trainHopSae(model, [own], dataset, settings, context, () => {})));
  }
  return saes;
}

const countsOf = ({ questions, correct }: Answers) => ({ questions, correct });

/** Activations of questions at one of their hops, 0 or 1: where its answer is predicted, or at another place of it. */
export async function captureHop(
  model: LanguageModel,
  questions: readonly TwoHopQuestion[],
  hop: 0 | 1,
  { layer }: { layer: number },
  breathe: Breathe,
  place: HopPlace = answeringPlace(hop),
): Promise<HopActivations> {
  // The end token is no input.
  const sequences = questions.map(({ tokens }) => tokens.slice(0, -1));
  const positions = questions.map((question) => [place.positionOf(question)]);
  const h = await captureResidPost(model, sequences, { layer, positions, breathe });
  return {
    h,
    relations: questions.map(({ relations }) => relations[hop]),
    entities: questions.map(({ entities }) => entities[hop]),
    groups: questions.map((question) => place.groupOf(question)),
    answers: questions.map(({ answers }) => answers[hop]),
  };
}

async function measureHop(
  model: LanguageModel,
  sae: Sae,
  heldOut: readonly TwoHopQuestion[],
  hop: 0 | 1,
  clean: Answers,
  ask: { layer: number; breathe: Breathe },
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

function weightNorm({ weights }: LanguageModel): number {
  const squares = tf.tidy(() =>
    Object.values(weights).map((weight) => tf.sum(tf.square(weight)).dataSync()[0]!),
  );
  return Math.sqrt(squares.reduce((sum, square) => sum + square, 0));
}
