/** Trains the SAE of an analysis on the activations of one hop, or of both. */
import { invalidInput } from '../../errors.ts';
import { conceptMeans, numberNames } from '../align/captured.ts';
import { withheldRows } from '../align/withheld.ts';
import { ALIGNMENT_PRESETS } from '../contract/alignmentPresets.ts';
import type { AlignmentSettings } from '../contract/alignmentSettings.ts';
import type { GrokSettings } from '../contract/analysisSettings.ts';
import type { EngineDataset } from '../contract/dataset.ts';
import type { JobContext, JobReporter } from '../contract/protocol.ts';
import type { LanguageModel } from '../model/languageModel.ts';
import { hashWeights, jobFingerprint } from '../model/trainState.ts';
import type { StoredSae } from '../sae/file.ts';
import { fitNormalization, normalize } from '../sae/normalization.ts';
import { trainSae } from '../sae/train.ts';

/** Raw activations at a hop with their labels, question by question. */
export interface HopActivations {
  /** `[n, dModel]`. */
  h: Float32Array;
  relations: readonly number[];
  /** Whose relation it is. */
  entities: readonly string[];
  /** Activations of one group are led to one another. */
  groups: readonly string[];
  /** First token of the answer to the hop. */
  answers: readonly number[];
}

const LEARNING_RATE = 3e-3;
const BATCH_SIZE = 256;

/**
 * @param progress is told the share of the training that is done, 0–1.
 * @throws {AppError} INVALID_INPUT when a relation has no question to learn from.
 */
export async function trainHopSae(
  model: LanguageModel,
  hops: readonly HopActivations[],
  { concepts, ...dataset }: EngineDataset,
  grok: GrokSettings,
  context: JobContext,
  progress: (share: number) => void,
): Promise<StoredSae> {
  const relations = Int32Array.from(hops.flatMap((hop) => hop.relations));
  const missing = concepts.find((_, concept) => !relations.includes(concept));
  if (missing)
    throw invalidInput(
      ['dataset'],
      `relation "${missing.key}" has no TRAIN question; every relation needs one`,
    );
  const dModel = hops[0]!.h.length / hops[0]!.relations.length;
  const h = Float32Array.from(hops.flatMap((hop) => [...hop.h]));
  const normalization = fitNormalization(h, dModel);
  const nConcepts = concepts.length;
  const settings = settingsOf(grok, nConcepts);
  const { nFree, activation, k } = settings;
  const config = { dModel, nFree, nConcepts, activation, k, valueHeads: null };
  const entities = hops.flatMap((hop) => hop.entities);
  const rows = {
    x: normalize(h, normalization),
    dModel,
    nConcepts,
    concepts: relations,
    answers: Int32Array.from(hops.flatMap((hop) => hop.answers)),
    entities: numberNames(hops.flatMap((hop) => hop.groups)),
    withheld: withheldRows({ concepts }, settings, entities, relations),
  };
  const keys = concepts.map(({ key }) => key);
  const training = { config, settings, train: rows, validation: rows, concepts: keys, silent: null };
  const fingerprint = jobFingerprint({ config, settings, dataset, model: hashWeights(model.weights) });
  const quiet = { ...context, resumeFrom: null, reporter: quietly(context.reporter) };
  const best = await trainSae({ ...training, fingerprint }, quiet, (_phase, share) => progress(share));
  return {
    config,
    settings,
    concepts: keys,
    bestStep: best.step,
    weights: best.weights,
    normalization,
    conceptMeans: conceptMeans(h, relations, nConcepts),
  };
}

/** The preset's, without value heads, and without the silence term: both hops' positions ask about a relation. */
function settingsOf(grok: GrokSettings, nConcepts: number): AlignmentSettings {
  const { preset, withheldPairShare, seed, layer, nFree, pretrainSteps, posttrainSteps } = grok;
  const stage = { learningRate: LEARNING_RATE, batchSize: Math.max(BATCH_SIZE, nConcepts) };
  const base = ALIGNMENT_PRESETS[preset];
  return {
    ...base,
    withheldPairShare,
    seed,
    layer,
    nFree,
    weights: { ...base.weights, value: 0, silence: 0 },
    pretrain: { ...base.pretrain, ...stage, steps: pretrainSteps },
    posttrain: { ...base.posttrain, ...stage, steps: posttrainSteps },
  };
}

/** An analysis is short: it has no series of its own and no checkpoints, and is done again after a crash. */
export function quietly(reporter: JobReporter): JobReporter {
  return {
    metrics: () => {},
    progress: (progress) => reporter.progress(progress),
    log: (level, message) => reporter.log(level, message),
    part: (cell) => reporter.part(cell),
    snapshot: (snapshot) => reporter.snapshot(snapshot),
    checkpointDue: () => false,
    checkpoint: (step, file) => reporter.checkpoint(step, file),
    breathe: () => reporter.breathe(),
  };
}
