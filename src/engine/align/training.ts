/** Trains an SAE on the activations of a dataset's prompts, with slots for its concepts or without labels. */

import { invalidInput } from '../../errors.ts';
import type { AlignmentSettings } from '../contract/alignmentSettings.ts';
import { asAlignmentSettings, type BaselineSettings } from '../contract/baselineSettings.ts';
import type { CorpusRef } from '../contract/corpus.ts';
import { type EngineDataset, isQuestion } from '../contract/dataset.ts';
import type { JobContext } from '../contract/protocol.ts';
import type { SaeConfig, ValueHeads } from '../contract/sae.ts';
import { computes } from '../model/captured.ts';
import type { LanguageModel } from '../model/languageModel.ts';
import { hashArrays, hashWeights, jobFingerprint } from '../model/trainState.ts';
import type { Rows } from '../sae/batches.ts';
import { beginWith } from '../sae/begin.ts';
import type { Best } from '../sae/best.ts';
import { readSae, type StoredSae } from '../sae/file.ts';
import { type TrainingProgress, trainSae } from '../sae/train.ts';
import type { CapturedPopulations } from './captured.ts';
import { openTrainingTexts } from './texts.ts';
import { captureMore, type MoreActivations, prepareRows } from './trainingRows.ts';
import { outputsFor, valueHeadsFor } from './valueHeads.ts';

export interface PromptTraining {
  model: LanguageModel;
  dataset: EngineDataset;
  /** Activations of the settings' layer. */
  captured: CapturedPopulations;
  settings: AlignmentSettings;
  /** What else the training reads of the model, where it has been captured already. */
  more?: MoreActivations | undefined;
  /** The file of the SAE to begin with. */
  pretrained?: string | undefined;
  /** What the settings ask for texts of; absent where they ask for none. */
  corpus?: CorpusRef | undefined;
  /** Whether each concept gets a slot; without them the second stage has nothing to learn. */
  slots: boolean;
}

export interface Trained {
  stored: StoredSae;
  /** What the kept weights reached on the prompts that they were chosen by. */
  best: Pick<Best, 'accuracy' | 'loss'>;
  /** Activations that were left out of training as sinks. */
  sinks: number;
}

/**
 * Trains on the TRAIN prompts of `SEEN` entities. An SAE without slots knows the concepts' mean activations too.
 * @throws {AppError} ENGINE_FAILED when the loss diverges, CONFLICT when the checkpoint is another job's,
 * INVALID_INPUT when the silence term has no position to learn from.
 */
export async function trainOnPrompts(
  training: PromptTraining,
  context: JobContext,
  progress: TrainingProgress,
): Promise<Trained> {
  const { model, dataset, settings, slots, corpus, pretrained } = training;
  const concepts = dataset.concepts.map(({ key }) => key);
  const more = training.more ?? (await captureMore(training, context));
  const { normalization, conceptMeans, sinks, ...rows } = prepareRows(training, more);
  if (sinks.leftOut > 0) {
    const why = `longer than 3 × the median of the activations at last prompt tokens, ${sinks.norm.toPrecision(3)}`;
    context.reporter.log('INFO', `${sinks.leftOut} activations are left out as sinks: ${why}`);
  }
  const config = saeConfig(training);
  const given = pretrained === undefined ? null : await readPretrained(pretrained, config);
  const initial = given ? beginWith(given, config, normalization, settings.seed) : undefined;
  const texts = await openTrainingTexts(training, normalization, context);
  const best = await trainSae(
    {
      config,
      settings,
      initial,
      texts,
      ...rows,
      ...(config.valueHeads && {
        train: withOutputs(rows.train, config.valueHeads),
        validation: withOutputs(rows.validation, config.valueHeads),
      }),
      concepts,
      fingerprint: jobFingerprint({
        config,
        settings,
        dataset,
        model: hashWeights(model.weights),
        corpus: corpus?.hash,
        initial: initial && hashArrays(initial),
      }),
    },
    context,
    progress,
  ).finally(() => texts?.close());
  const stored = {
    config,
    settings,
    concepts,
    bestStep: slots ? best.step : settings.pretrain.steps,
    weights: best.weights,
    normalization,
    conceptMeans,
    sinkNorm: sinks.norm,
  };
  return { stored, best, sinks: sinks.leftOut };
}

/** The same by the settings of a baseline: all latents are free, and the first stage is the only one. */
export async function trainBaseline(
  { settings, ...training }: Omit<PromptTraining, 'settings' | 'slots'> & { settings: BaselineSettings },
  context: JobContext,
  progress: TrainingProgress,
): Promise<StoredSae> {
  const unlabelled = { ...training, settings: asAlignmentSettings(settings), slots: false };
  return (await trainOnPrompts(unlabelled, context, progress)).stored;
}

/** Rows whose answers are outputs of the heads. */
function withOutputs(rows: Rows, heads: ValueHeads): Rows {
  return { ...rows, answers: outputsFor(heads, rows.answers) };
}

/** @throws {AppError} INVALID_INPUT for an SAE that is not what the settings say. */
async function readPretrained(path: string, config: SaeConfig): Promise<StoredSae> {
  const given = await readSae(path);
  for (const key of ['dModel', 'nFree', 'activation'] as const)
    if (given.config[key] !== config[key])
      throw invalidInput(
        ['pretrainedSaeId'],
        `the SAE to begin with has ${key} ${given.config[key]}, expected ${config[key]}`,
      );
  return given;
}

function saeConfig({ model, dataset, settings, slots }: PromptTraining): SaeConfig {
  const { nFree, activation, k, valueHidden, weights, mode } = settings;
  const { dModel } = model.config;
  const canName =
    computes(model) && dataset.prompts.every((prompt) => prompt.concepts.length > 1 || isQuestion(prompt));
  const named = dataset.prompts.filter(({ concepts }) => concepts.length === 1);
  const hasHeads = slots && weights.value > 0 && mode !== 'SEPARATE_ACTIVATION' && canName;
  return {
    dModel,
    nFree,
    nConcepts: slots ? dataset.concepts.length : 0,
    activation,
    k,
    valueHeads: hasHeads ? valueHeadsFor(model, named, valueHidden) : null,
  };
}
