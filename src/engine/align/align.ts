/** The alignment job: capture activations, train an SAE on them in two stages, measure it, write it. */
import { join } from 'node:path';
import { invalidInput } from '../../errors.ts';
import type { AlignmentJob, AlignmentResult, SplitMeasures } from '../contract/alignment.ts';
import type { AlignmentSettings } from '../contract/alignmentSettings.ts';
import { type EngineDataset, isQuestion, SPLITS, type Split } from '../contract/dataset.ts';
import type { JobContext } from '../contract/protocol.ts';
import type { SaeConfig } from '../contract/sae.ts';
import { type LanguageModel, loadLanguageModel } from '../model/languageModel.ts';
import { jobFingerprint } from '../model/trainState.ts';
import { stackRows } from '../rows.ts';
import { type StoredSae, writeSae } from '../sae/file.ts';
import { fitNormalization, normalize } from '../sae/normalization.ts';
import { Sae } from '../sae/sae.ts';
import { trainSae } from '../sae/train.ts';
import { measureSplit } from './bind.ts';
import {
  capturePrompts,
  checkLearnable,
  chooseBy,
  conceptMeans,
  firstToken,
  reportEntities,
  rowsOf,
} from './captured.ts';
import { findConceptLatents } from './conceptLatents.ts';
import { measureFaithfulness } from './faithfulness.ts';
import { createPhases, type Phases } from './phases.ts';
import { type Populations, splitPopulations } from './population.ts';
import { captureSilent } from './silent.ts';
import { reportSlots } from './slotReports.ts';
import { type CapturedPopulations, evaluateSwaps } from './swapEvaluation.ts';
import type { CapturedPrompt } from './swapTrials.ts';
import { withheldRows } from './withheld.ts';

/**
 * Runs the job from `context.resumeFrom` if it is given; a resumed run's numbers are those of an uninterrupted one
 * on the same backend.
 * @throws {AppError} INVALID_INPUT when the layer is not the model's or the dataset cannot be learned from;
 * ENGINE_FAILED when the loss diverges.
 */
export async function runAlignment(job: AlignmentJob, context: JobContext): Promise<AlignmentResult> {
  const { settings, dataset } = job;
  const populations = splitPopulations(dataset, settings);
  checkLearnable(job, populations);
  checkAnswers(job, populations);
  const phases = createPhases(context.reporter);
  reportEntities(context, populations, dataset);
  phases.at('CAPTURE', 0);
  const model = await loadLanguageModel(job.model);
  try {
    const captured = await capturePrompts(model, populations, settings, context);
    const { stored, measuredBy } = await train(job, model, captured, context, phases);
    const sae = new Sae(stored);
    try {
      return await finish(job, stored, { model, sae }, captured, measuredBy, context, phases);
    } finally {
      sae.dispose();
    }
  } finally {
    model.dispose();
  }
}

/** @throws {AppError} INVALID_INPUT when there is nothing but answers to learn, and they are missing. */
function checkAnswers({ settings }: AlignmentJob, { prompts }: Populations): void {
  if (settings.mode !== 'SEPARATE_VALUE' || prompts.every(isQuestion)) return;
  const message = 'mode SEPARATE_VALUE learns answers alone, but some prompts of the dataset have none';
  throw invalidInput(['settings', 'mode'], message);
}

interface Trained {
  stored: StoredSae;
  /** Which prompts the best weights were chosen by. */
  measuredBy: { accuracy: number; loss: number };
}

async function train(
  { settings, dataset, model: { config: modelConfig } }: AlignmentJob,
  model: LanguageModel,
  captured: CapturedPopulations,
  context: JobContext,
  phases: Phases,
): Promise<Trained> {
  const learned = captured.SEEN.filter(({ split }) => split === 'TRAIN');
  const h = stackRows(learned, modelConfig.dModel);
  const normalization = fitNormalization(h, modelConfig.dModel);
  const config = saeConfig(settings, dataset, modelConfig);
  const toRows = (prompts: readonly CapturedPrompt[]) =>
    rowsOf(prompts, model, config.nConcepts, normalization);
  const train = toRows(learned);
  const entities = learned.map(({ entity }) => entity);
  const silent =
    settings.weights.silence > 0 ? await captureSilent(model, dataset, learned, settings, context) : null;
  const best = await trainSae(
    {
      config,
      settings,
      train: { ...train, withheld: withheldRows(dataset, settings, entities, train.concepts) },
      validation: toRows(chooseBy(captured, config.nConcepts) ?? learned),
      concepts: dataset.concepts.map(({ key }) => key),
      silent: silent && normalize(silent, normalization),
      fingerprint: jobFingerprint({ settings, dataset, model: modelConfig }),
    },
    context,
    phases.at,
  );
  const stored: StoredSae = {
    config,
    settings,
    concepts: dataset.concepts.map(({ key }) => key),
    bestStep: best.step,
    weights: best.weights,
    normalization,
    conceptMeans: conceptMeans(h, train.concepts, config.nConcepts),
  };
  return { stored, measuredBy: best };
}

function saeConfig(
  { nFree, activation, k, valueHidden, weights, mode }: AlignmentSettings,
  { concepts, prompts }: EngineDataset,
  { dModel, dVocab }: { dModel: number; dVocab: number },
): SaeConfig {
  const canName = prompts.every((prompt) => prompt.concepts.length > 1 || isQuestion(prompt));
  const hasHeads = weights.value > 0 && mode !== 'SEPARATE_ACTIVATION' && canName;
  const valueHeads = hasHeads ? { hidden: valueHidden, dVocab } : null;
  return { dModel, nFree, nConcepts: concepts.length, activation, k, valueHeads };
}

async function finish(
  { dataset, settings }: AlignmentJob,
  stored: StoredSae,
  pair: { model: LanguageModel; sae: Sae },
  captured: CapturedPopulations,
  best: Trained['measuredBy'],
  context: JobContext,
  phases: Phases,
): Promise<AlignmentResult> {
  const breathe = () => context.reporter.breathe();
  context.reporter.log(
    'INFO',
    `kept the weights of step ${stored.bestStep} of ${settings.posttrain.steps}: validation binding ${best.accuracy.toFixed(4)}, loss ${best.loss.toFixed(4)}`,
  );
  phases.at('EVALUATE', 0);
  const prompts = [...captured.SEEN, ...captured.VALIDATION, ...captured.UNSEEN];
  const measures: SplitMeasures[] = [];
  for (const split of SPLITS) {
    const asked = prompts.filter((prompt) => prompt.split === split);
    if (asked.length > 0) measures.push(await measurePrompts(pair, split, asked, breathe));
  }
  const heldOut = prompts.filter(({ split }) => split === 'TEST_OOD');
  const examples = heldOut.length > 0 ? heldOut : prompts.filter(({ split }) => split === 'TRAIN');
  const slots = reportSlots(pair.model, pair.sae, examples);
  const conceptLatents = await findConceptLatents(pair.sae, captured, breathe);
  const faithfulness = await measureFaithfulness(pair, captured, breathe);
  phases.at('EVALUATE', 0.3);
  const { swaps, chosenAlpha } = await evaluateSwaps(pair, dataset, captured, breathe);
  const weights = await writeSae(join(context.workDir, 'sae.safetensors'), stored);
  phases.at('EVALUATE', 1);
  return {
    kind: 'ALIGNMENT',
    weights,
    bestStep: stored.bestStep,
    dModel: stored.config.dModel,
    measures,
    slots,
    swaps,
    chosenAlpha,
    conceptLatents,
    faithfulness,
  };
}

function measurePrompts(
  { model, sae }: { model: LanguageModel; sae: Sae },
  split: Split,
  prompts: readonly CapturedPrompt[],
  breathe: () => Promise<void>,
): Promise<SplitMeasures> {
  const data = {
    h: stackRows(prompts, sae.config.dModel),
    concepts: prompts.map(({ concepts }) => concepts[0]!),
    answers: prompts.map(({ answer }) => firstToken(model.tokenizer, answer)),
  };
  return measureSplit(sae, split, data, breathe);
}
