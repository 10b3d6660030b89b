/** The baseline job: an SAE of the same size on the same activations as an alignment, trained without labels. */
import { join } from 'node:path';
import type { BaselineJob, BaselineResult, ConceptLatent, SplitMeasures } from '../contract/alignment.ts';
import { asAlignmentSettings, type BaselineSettings } from '../contract/baselineSettings.ts';
import { type EngineDataset, SPLITS } from '../contract/dataset.ts';
import type { JobContext } from '../contract/protocol.ts';
import type { SaeConfig } from '../contract/sae.ts';
import { type LanguageModel, loadLanguageModel } from '../model/languageModel.ts';
import { jobFingerprint } from '../model/trainState.ts';
import { stackRows } from '../rows.ts';
import { type StoredSae, writeSae } from '../sae/file.ts';
import { fitNormalization } from '../sae/normalization.ts';
import { Sae } from '../sae/sae.ts';
import { type TrainingProgress, trainSae } from '../sae/train.ts';
import { measureSplit } from './bind.ts';
import {
  capturePrompts,
  checkLearnable,
  chooseBy,
  conceptMeans,
  reportEntities,
  rowsOf,
} from './captured.ts';
import { findConceptLatents } from './conceptLatents.ts';
import { measureFaithfulness } from './faithfulness.ts';
import { createPhases, type Phases } from './phases.ts';
import { splitPopulations } from './population.ts';
import type { CapturedPopulations } from './swapEvaluation.ts';

/**
 * Runs the job from `context.resumeFrom` if it is given; a resumed run's numbers are those of an uninterrupted one
 * on the same backend.
 * @throws {AppError} INVALID_INPUT when the layer is not the model's or the dataset cannot be learned from;
 * ENGINE_FAILED when the loss diverges.
 */
export async function runBaseline(job: BaselineJob, context: JobContext): Promise<BaselineResult> {
  const { settings, dataset } = job;
  const populations = splitPopulations(dataset, settings);
  checkLearnable(job, populations);
  const phases = createPhases(context.reporter);
  reportEntities(context, populations, dataset);
  phases.at('CAPTURE', 0);
  const model = await loadLanguageModel(job.model);
  try {
    const captured = await capturePrompts(model, populations, settings, context);
    const stored = await trainBaseline({ model, dataset, captured, settings }, context, phases.at);
    const sae = new Sae(stored);
    try {
      return await finish({ model, sae }, stored, captured, context, phases);
    } finally {
      sae.dispose();
    }
  } finally {
    model.dispose();
  }
}

export interface BaselineTraining {
  model: LanguageModel;
  dataset: EngineDataset;
  /** Activations of the settings' layer. */
  captured: CapturedPopulations;
  settings: BaselineSettings;
}

/**
 * Trains an unsupervised SAE on the TRAIN prompts of `SEEN` entities, as an alignment's first stage would; it has no
 * slots, but knows the concepts' mean activations.
 * @throws {AppError} ENGINE_FAILED when the loss diverges, CONFLICT when the checkpoint is another job's.
 */
export async function trainBaseline(
  { model, dataset, captured, settings }: BaselineTraining,
  context: JobContext,
  progress: TrainingProgress,
): Promise<StoredSae> {
  const { dModel } = model.config;
  const concepts = dataset.concepts.map(({ key }) => key);
  const learned = captured.SEEN.filter(({ split }) => split === 'TRAIN');
  const h = stackRows(learned, dModel);
  const normalization = fitNormalization(h, dModel);
  const { nFree, activation, k } = settings;
  const config: SaeConfig = { dModel, nFree, nConcepts: 0, activation, k, valueHeads: null };
  const training = asAlignmentSettings(settings);
  const train = rowsOf(learned, model, concepts.length, normalization);
  const measuredOn = chooseBy(captured, concepts.length) ?? learned;
  const { weights } = await trainSae(
    {
      config,
      settings: training,
      train,
      validation: rowsOf(measuredOn, model, concepts.length, normalization),
      concepts,
      silent: null,
      fingerprint: jobFingerprint({ settings, dataset, model: model.config }),
    },
    context,
    progress,
  );
  return {
    config,
    settings: training,
    concepts,
    bestStep: settings.steps,
    weights,
    normalization,
    conceptMeans: conceptMeans(h, train.concepts, concepts.length),
  };
}

async function finish(
  pair: { model: LanguageModel; sae: Sae },
  stored: StoredSae,
  captured: CapturedPopulations,
  { reporter, workDir }: JobContext,
  phases: Phases,
): Promise<BaselineResult> {
  const breathe = () => reporter.breathe();
  phases.at('EVALUATE', 0);
  const conceptLatents = await findConceptLatents(pair.sae, captured, breathe);
  phases.at('EVALUATE', 0.5);
  const measures = await measureSplits(pair.sae, captured, conceptLatents, breathe);
  const faithfulness = await measureFaithfulness(pair, captured, breathe);
  const weights = await writeSae(join(workDir, 'sae.safetensors'), stored);
  phases.at('EVALUATE', 1);
  return { kind: 'BASELINE', weights, dModel: stored.config.dModel, measures, conceptLatents, faithfulness };
}

/** Binding with each concept's best latent in its slot's place, in units of its mean activation where it fires. */
async function measureSplits(
  sae: Sae,
  captured: CapturedPopulations,
  conceptLatents: readonly ConceptLatent[],
  breathe: () => Promise<void>,
): Promise<SplitMeasures[]> {
  const prompts = [...captured.SEEN, ...captured.VALIDATION, ...captured.UNSEEN];
  const measures: SplitMeasures[] = [];
  for (const split of SPLITS) {
    const asked = prompts.filter((prompt) => prompt.split === split);
    if (asked.length === 0) continue;
    const data = {
      h: stackRows(asked, sae.config.dModel),
      concepts: asked.map(({ concepts }) => concepts[0]!),
      answers: [],
    };
    measures.push(await measureSplit(sae, split, data, breathe, conceptLatents));
  }
  return measures;
}
