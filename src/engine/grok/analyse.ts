/** One checkpoint of a two-hop model: what it answers, and how an SAE's slots bind at both hops. */
import { join } from 'node:path';
import * as tf from '@tensorflow/tfjs-core';
import { invalidInput } from '../../errors.ts';
import type {
  CheckpointAnalysisJob,
  CheckpointAnalysisResult,
  GrokkingPoint,
  HopsAtStep,
} from '../contract/analysis.ts';
import type { GrokSettings } from '../contract/analysisSettings.ts';
import type { EngineDataset } from '../contract/dataset.ts';
import type { JobContext } from '../contract/protocol.ts';
import { type LanguageModel, loadLanguageModel } from '../model/languageModel.ts';
import { type StoredSae, writeSae } from '../sae/file.ts';
import { type Answers, measureAnswers } from './answers.ts';
import { captureHop, HOPS } from './capture.ts';
import { measureHops } from './hopPoints.ts';
import { trainHopSae } from './hopSae.ts';
import { placesOf } from './places.ts';
import { oneHopQuestions, twoHopQuestions } from './questions.ts';

/**
 * Measures the model and writes the SAEs; the same job gives the same numbers.
 * @throws {AppError} INVALID_INPUT when the layer is not the model's or the dataset has not the questions for it.
 */
export async function runCheckpointAnalysis(
  job: CheckpointAnalysisJob,
  context: JobContext,
): Promise<CheckpointAnalysisResult> {
  const { settings, model: ref, dataset } = job;
  const model = await loadLanguageModel(ref);
  try {
    const { point, saes } = await analyseCheckpoint(model, dataset, settings, context);
    const files = [];
    for (const [i, sae] of saes.entries())
      files.push(await writeSae(join(context.workDir, `sae-${i}.safetensors`), sae));
    const byItsSaes = await readEarlier(job, saes, context);
    return { kind: 'CHECKPOINT_ANALYSIS', point, saes: files, byItsSaes };
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
  const point: GrokkingPoint = {
    train: countsOf(learned),
    heldOut: countsOf(composed),
    oneHop: known && countsOf(known),
    loss: learned.loss,
    weightNorm: weightNorm(model),
    logitMargin: composed.logitMargin,
    hops: await measureHops(model, saes, heldOut, composed, ask),
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

/** The hops of the models of other steps as the SAEs of this one read them. */
async function readEarlier(
  { settings, dataset, earlier }: CheckpointAnalysisJob,
  saes: readonly StoredSae[],
  { reporter }: JobContext,
): Promise<HopsAtStep[]> {
  const ask = { layer: settings.layer, breathe: () => reporter.breathe() };
  const read: HopsAtStep[] = [];
  for (const { step, model: ref } of earlier) {
    const model = await loadLanguageModel(ref);
    try {
      const heldOut = twoHopQuestions(dataset, model.tokenizer, 'VALIDATION', settings);
      const clean = await measureAnswers(model, heldOut, ask);
      read.push({ step, hops: await measureHops(model, saes, heldOut, clean, ask) });
    } finally {
      model.dispose();
    }
  }
  return read;
}

function weightNorm({ weights }: LanguageModel): number {
  const squares = tf.tidy(() =>
    Object.values(weights).map((weight) => tf.sum(tf.square(weight)).dataSync()[0]!),
  );
  return Math.sqrt(squares.reduce((sum, square) => sum + square, 0));
}
