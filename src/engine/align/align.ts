/**
 * The jobs that capture activations, train an SAE on them, measure it and write it: an alignment, and a baseline, which
 * is an alignment without labels.
 */
import { join } from 'node:path';
import { invalidInput } from '../../errors.ts';
import type {
  AlignmentJob,
  AlignmentResult,
  BaselineJob,
  BaselineResult,
  SaeFile,
  SaeMeasures,
  SplitMeasures,
  TrainedMeasures,
} from '../contract/alignment.ts';
import type { AlignmentSettings } from '../contract/alignmentSettings.ts';
import { asAlignmentSettings } from '../contract/baselineSettings.ts';
import { needsModel } from '../contract/captured.ts';
import { type EngineDataset, isQuestion, SPLITS, type Split } from '../contract/dataset.ts';
import type { ModelRef } from '../contract/model.ts';
import type { JobContext } from '../contract/protocol.ts';
import { evaluateSwaps } from '../edits/evaluation.ts';
import { measureKnocks } from '../edits/knocks.ts';
import { promptsOfCaptured } from '../latents/capture.ts';
import { surveyLatents } from '../latents/survey.ts';
import { computes } from '../model/captured.ts';
import { type LanguageModel, loadLanguageModel } from '../model/languageModel.ts';
import { promptedBy } from '../model/prompting.ts';
import { stackRows } from '../rows.ts';
import { writeSae } from '../sae/file.ts';
import { Sae } from '../sae/sae.ts';
import { measureSplit, type StandIn } from './bind.ts';
import {
  type CapturedPopulations,
  type CapturedPrompt,
  capturePrompts,
  checkLearnable,
  firstTokens,
  reportEntities,
} from './captured.ts';
import { findConceptLatents } from './conceptLatents.ts';
import { measureFaithfulness } from './faithfulness.ts';
import { createPhases, type Phases } from './phases.ts';
import { type Populations, splitPopulations } from './population.ts';
import { reportSlots } from './slotReports.ts';
import { type PromptTraining, type Trained, trainOnPrompts } from './training.ts';

/**
 * Runs the job from `context.resumeFrom` if it is given; a resumed run's numbers are those of an uninterrupted one
 * on the same backend.
 * @throws {AppError} INVALID_INPUT when the layer is not the model's or the dataset cannot be learned from;
 * ENGINE_FAILED when the loss diverges.
 */
export function runAlignment(job: AlignmentJob, context: JobContext): Promise<AlignmentResult> {
  return withTrainedSae({ ...job, slots: true }, context, async (study) => {
    const { model, dataset, sae, captured, best, breathe, phases } = study;
    const kept = `kept the weights of step ${sae.bestStep} of ${sae.settings.posttrain.steps}`;
    const reached = `validation binding ${best.accuracy.toFixed(4)}, loss ${best.loss.toFixed(4)}`;
    context.reporter.log('INFO', `${kept}: ${reached}`);
    phases.at('EVALUATE', 0);
    const measures = await measure(study);
    const slots = reportSlots(model, sae, examplesOf(captured));
    phases.at('EVALUATE', 0.3);
    const result = { kind: 'ALIGNMENT', ...measures, bestStep: sae.bestStep, slots } as const;
    if (!computes(model)) return { ...result, ...NO_EDITS };
    const knocks = await measureKnocks({ model, sae }, dataset.facts, captured, breathe);
    phases.at('EVALUATE', 0.35);
    return {
      ...result,
      knocks,
      ...(await evaluateSwaps({ model, sae }, dataset, captured, context.reporter)),
    };
  });
}

/** As `runAlignment`, of an SAE all of whose latents are free; each concept's best latent is measured in a slot's place. */
export function runBaseline(job: BaselineJob, context: JobContext): Promise<BaselineResult> {
  const settings = asAlignmentSettings(job.settings);
  return withTrainedSae({ ...job, settings, slots: false }, context, async (study) => {
    study.phases.at('EVALUATE', 0);
    return { kind: 'BASELINE', ...(await measure(study)) };
  });
}

/** Nobody answers. */
const NO_EDITS = { knocks: [], swaps: [], chosenAlpha: null };

/** A trained SAE with all that it is measured on. */
interface Study extends Trained {
  model: LanguageModel;
  sae: Sae;
  dataset: EngineDataset;
  captured: CapturedPopulations;
  breathe: () => Promise<void>;
  phases: Phases;
}

type SaeJob = Pick<PromptTraining, 'dataset' | 'settings' | 'slots' | 'corpus' | 'pretrained'> & {
  model: ModelRef;
};

/** Captures, trains, evaluates and then writes the SAE; what was loaded is freed, however it ends. */
async function withTrainedSae<T>(
  job: SaeJob,
  context: JobContext,
  evaluate: (study: Study) => Promise<T>,
): Promise<T & SaeFile> {
  const { settings, dataset } = job;
  const populations = splitPopulations(dataset, settings);
  checkLearnable(job, populations);
  checkAnswers(settings, populations);
  checkCaptured(job);
  const phases = createPhases(context.reporter);
  const breathe = () => context.reporter.breathe();
  reportEntities(context, populations, dataset);
  phases.at('CAPTURE', 0);
  const loaded = await loadLanguageModel(job.model);
  try {
    const model = promptedBy(loaded, dataset);
    const captured = await capturePrompts(model, populations, settings, context);
    const trained = await trainOnPrompts({ ...job, model, captured }, context, phases.at);
    const sae = new Sae(trained.stored);
    try {
      const result = await evaluate({ ...trained, model, sae, dataset, captured, breathe, phases });
      const weights = await writeSae(join(context.workDir, 'sae.safetensors'), trained.stored);
      phases.at('EVALUATE', 1);
      return { ...result, weights, dModel: sae.config.dModel };
    } finally {
      sae.dispose();
    }
  } finally {
    loaded.dispose();
  }
}

/** @throws {AppError} INVALID_INPUT when there is nothing but answers to learn, and they are missing. */
function checkAnswers({ mode }: AlignmentSettings, { prompts }: Populations): void {
  if (mode !== 'SEPARATE_VALUE' || prompts.every(isQuestion)) return;
  const message = 'mode SEPARATE_VALUE learns answers alone, but some prompts of the dataset have none';
  throw invalidInput(['settings', 'mode'], message);
}

/** @throws {AppError} INVALID_INPUT naming the setting that needs a model that computes. */
function checkCaptured({ model: { config }, settings }: SaeJob): void {
  const issue = config.captured && needsModel(settings);
  if (issue) throw invalidInput(issue.path, issue.message);
}

async function measure(study: Study): Promise<TrainedMeasures> {
  const { model, sae, dataset, captured, breathe, sinks } = study;
  const measures = await measureSae(study);
  const survey = await surveyLatents(sae, promptsOfCaptured(model, sae, dataset, captured), breathe);
  return { ...measures, sinks, survey };
}

/** An SAE with what it is measured on, however it came to be. */
export type Measured = Pick<Study, 'model' | 'sae' | 'captured' | 'breathe'>;

/** Binding, reconstruction, the latents that stand for concepts, and faithfulness. */
export async function measureSae(study: Measured): Promise<Omit<SaeMeasures, 'sinks'>> {
  const { sae, captured, breathe } = study;
  const conceptLatents = await findConceptLatents(sae, captured, breathe);
  const measures = await measureSplits(study, sae.config.nConcepts > 0 ? null : conceptLatents);
  const faithfulness = computes(study.model) ? await measureFaithfulness(study, captured, breathe) : [];
  return { measures, conceptLatents, faithfulness };
}

async function measureSplits(
  { model, sae, captured, breathe }: Measured,
  standIns: readonly StandIn[] | null,
): Promise<SplitMeasures[]> {
  const measures: SplitMeasures[] = [];
  for (const split of SPLITS) {
    const asked = promptsOf(captured, split);
    if (asked.length === 0) continue;
    const data = {
      h: stackRows(asked, sae.config.dModel),
      concepts: asked.map(({ concepts }) => concepts[0]!),
      answers: Array.from(firstTokens(model, asked)),
    };
    measures.push(await measureSplit(sae, split, data, breathe, standIns));
  }
  return measures;
}

/** Prompts to show what drives a slot: held-out ones, or where there are none, those of training. */
function examplesOf(captured: CapturedPopulations): CapturedPrompt[] {
  const heldOut = promptsOf(captured, 'TEST_OOD');
  return heldOut.length > 0 ? heldOut : promptsOf(captured, 'TRAIN');
}

function promptsOf({ SEEN, VALIDATION, UNSEEN }: CapturedPopulations, split: Split): CapturedPrompt[] {
  return [...SEEN, ...VALIDATION, ...UNSEEN].filter((prompt) => prompt.split === split);
}
