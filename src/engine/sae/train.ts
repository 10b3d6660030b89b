/** Trains an SAE on captured activations: the unlabelled stage, then the labelled one, keeping the best weights. */
import { join } from 'node:path';
import { tidy } from '@tensorflow/tfjs-core';
import { AppError } from '../../errors.ts';
import type { AlignmentSettings } from '../contract/alignmentSettings.ts';
import type { Arrays } from '../contract/arrays.ts';
import type { JobContext } from '../contract/protocol.ts';
import type { SaeConfig } from '../contract/sae.ts';
import { cosineShare } from '../model/schedule.ts';
import { joinRows } from '../rows.ts';
import { mapValues, toArray, toTensors } from '../step/arrays.ts';
import { createStepper } from '../step/create.ts';
import type { Stepper } from '../step/stepper.ts';
import { AUTOENCODER_WEIGHTS, foldDecoderNorm, initSae, VALUE_WEIGHTS } from './autoencoder.ts';
import { type LabelledBatchOptions, labelledBatches, pretrainBatches, type Rows } from './batches.ts';
import { type Best, isBetter } from './best.ts';
import {
  deadLatents,
  type LatentHistory,
  noteFired,
  noteSmallest,
  revivesDead,
  startHistory,
  thresholdOf,
  unfiredShare,
} from './history.ts';
import { firedEval, posttrainLoss, pretrainLoss, reconstructionEval, validationEval } from './objective.ts';
import {
  addSilent,
  openStreams,
  positionsOf,
  silentTextRows,
  type TextStreams,
  type TrainingTexts,
} from './texts.ts';
import { readSaeTrainState, writeSaeTrainState } from './trainState.ts';
import { createValidation } from './validation.ts';

export interface SaeTraining {
  config: SaeConfig;
  settings: AlignmentSettings;
  /** What both stages learn from. */
  train: Rows;
  /** What the best weights are chosen by. */
  validation: Rows;
  /** Keys of the rows' concepts, which name their metrics. */
  concepts: readonly string[];
  /** Activations where no concept is in play, `[n, dModel]`, normalised; used when `weights.silence` is above 0. */
  silent: Float32Array | null;
  /** The weights to begin with; absent where they are drawn. */
  initial?: Arrays | undefined;
  /** What is drawn from texts; absent where the settings ask for none. */
  texts?: TrainingTexts | undefined;
  /** Names the job, so that no other job's checkpoint is taken for its own. */
  fingerprint: string;
}

/** Progress of both stages together, 0–1, with the name of the stage. */
export type TrainingProgress = (phase: 'PRETRAIN' | 'POSTTRAIN', share: number) => void;

/**
 * Runs both stages, from `context.resumeFrom` if it is given; a resumed run's numbers are those of an uninterrupted
 * one on the same backend. Without post-training steps the pre-trained weights are the result.
 * @throws {AppError} ENGINE_FAILED when the loss diverges, CONFLICT when the checkpoint is another job's.
 */
export async function trainSae(
  training: SaeTraining,
  context: JobContext,
  progress: TrainingProgress,
): Promise<Best> {
  const stepper = createSaeStepper(training);
  try {
    return await runStages(training, stepper, context, progress);
  } finally {
    stepper.dispose();
  }
}

function createSaeStepper({ config, settings, initial }: SaeTraining): Stepper {
  return createStepper({
    weights: initial ?? initialWeights(config, settings),
    optimizer: { beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weightDecay: settings.weightDecay, clipNorm: null },
    losses: { pretrain: pretrainLoss(config, settings), posttrain: posttrainLoss(config, settings) },
    trainable: {
      pretrain: AUTOENCODER_WEIGHTS,
      posttrain: [
        ...(settings.mode === 'SEPARATE_VALUE' ? [] : AUTOENCODER_WEIGHTS),
        ...(config.valueHeads ? VALUE_WEIGHTS : []),
      ],
    },
    evals: {
      fired: firedEval(config, settings),
      reconstruct: reconstructionEval(config, settings),
      validate: validationEval(config, settings),
    },
  });
}

/** With `UNIT` rows of length 1 to begin with, the function unchanged: Adam's steps are then small against them. */
function initialWeights(config: SaeConfig, { seed, decoderNorm }: AlignmentSettings): Arrays {
  const weights = initSae(config, seed);
  return decoderNorm === 'UNIT' ? foldArrays(config, weights) : weights;
}

async function runStages(
  training: SaeTraining,
  stepper: Stepper,
  context: JobContext,
  progress: TrainingProgress,
): Promise<Best> {
  const { settings, fingerprint } = training;
  const { reporter, resumeFrom, workDir } = context;
  const lastPretrain = settings.pretrain.steps;
  const last = lastPretrain + settings.posttrain.steps;
  const saved = resumeFrom ? await readSaeTrainState(resumeFrom, fingerprint) : null;
  if (saved) stepper.writeState(saved.state);
  const history = saved?.history ?? startHistory(training.config);
  const streams = openStreams(training.texts, saved?.texts);
  const takeStep = createSteps(training, stepper, history, streams);
  const look = createLooks(training, stepper, history);
  let best = saved?.best ?? null;
  for (let step = (saved?.step ?? 0) + 1; step <= last; step++) {
    const values = await takeStep(step);
    const looked = await look(step, best);
    best = looked.best;
    const logged = step % settings.logEvery === 0 || step === lastPretrain + 1 || step === last;
    const row = { ...(logged && values), ...looked.values };
    if (Object.keys(row).length > 0)
      reporter.metrics({
        ...{ step, at: Date.now(), values: row },
        ...(looked.binding && { binding: looked.binding }),
      });
    progress(step <= lastPretrain ? 'PRETRAIN' : 'POSTTRAIN', step / last);
    if (reporter.checkpointDue()) {
      const path = join(workDir, `checkpoint-${step}.safetensors`);
      const state = { step, state: await stepper.readState(), best, history, texts: positionsOf(streams) };
      await reporter.checkpoint(step, await writeSaeTrainState(path, fingerprint, state));
    }
    await reporter.breathe();
  }
  return (
    best ?? { step: 0, accuracy: 0, loss: Number.NaN, weights: await present(training, stepper, history) }
  );
}

/** The weights as they stand, in the form in which they are used. */
async function present(
  { config, settings }: SaeTraining,
  stepper: Stepper,
  history: LatentHistory,
): Promise<Arrays> {
  const { weights } = await stepper.readState();
  const used = settings.decoderNorm === 'UNIT' ? foldArrays(config, weights) : weights;
  return { ...used, ...thresholdOf(config, history) };
}

function foldArrays(config: SaeConfig, weights: Arrays): Arrays {
  let folded: Arrays = {};
  tidy(() => {
    folded = mapValues(foldDecoderNorm(config, toTensors(weights)), toArray);
  });
  return folded;
}

/** Step `n`, counted from 1 over both stages; post-training begins with fresh moments. */
function createSteps(training: SaeTraining, stepper: Stepper, history: LatentHistory, streams: TextStreams) {
  const { settings } = training;
  const { pretrain, posttrain } = settings;
  const revives = revivesDead(settings);
  const draw = createDraws(training, streams);
  return async (step: number): Promise<Record<string, number>> => {
    const after = step - pretrain.steps;
    if (after === 1) stepper.resetOptimizer();
    const stage = after < 1 ? 'pretrain' : 'posttrain';
    const drawn = await draw(step);
    const share = after < 1 || posttrain.schedule === 'CONSTANT' ? 1 : cosineShare(after, posttrain.steps);
    const batch = revives ? { ...drawn, ...deadLatents(history, settings.deadAfter) } : drawn;
    if (revives) noteFired(history, (await stepper.evaluate('fired', { x: drawn.x! })).rowsFired!.data);
    const { smallest, ...values } = stepper.step(stage, batch, settings[stage].learningRate * share);
    if (!Number.isFinite(values.loss)) throw diverged(step, stage);
    if (smallest !== undefined) noteSmallest(history, smallest);
    return { ...values, ...(revives && { unfired: unfiredShare(history, settings.deadAfter) }) };
  };
}

/** The batch of each step; those of texts come in order, the others depend on the step alone. */
function createDraws({ settings, train, silent }: SaeTraining, streams: TextStreams) {
  const { pretrain, seed, silentRows } = settings;
  const fromTexts = silentTextRows(streams, silent, silentRows);
  const unlabelled = pretrainBatches(train, seed, pretrain.batchSize);
  const labelled = labelledBatches(train, batchOptions(settings, silent, silentRows - fromTexts));
  return async (step: number): Promise<Arrays> => {
    const after = step - pretrain.steps;
    if (after < 1)
      return streams.PRETRAIN ? { x: await streams.PRETRAIN.next(pretrain.batchSize) } : unlabelled(step - 1);
    const batch = labelled(after - 1);
    return streams.SILENCE ? addSilent(batch, streams.SILENCE, fromTexts) : batch;
  };
}

/** Looks at the validation prompts when it is time to, and keeps the best weights of the second stage. */
function createLooks(training: SaeTraining, stepper: Stepper, history: LatentHistory) {
  const { config, settings, validation, concepts, silent, texts } = training;
  const { pretrain, posttrain, validateEvery, silentRows } = settings;
  const looked = texts ? joinRows([...(silent ? [silent] : []), texts.sample]) : silent;
  const validate = createValidation(config, validation, concepts, batchOptions(settings, looked, silentRows));
  return async (
    step: number,
    best: Best | null,
  ): Promise<{ best: Best | null; values: Record<string, number>; binding?: number[][] }> => {
    const [after, last] =
      step <= pretrain.steps ? [step, pretrain.steps] : [step - pretrain.steps, posttrain.steps];
    if (after % validateEvery !== 0 && after !== last) return { best, values: {} };
    const threshold = thresholdOf(config, history);
    if (step <= pretrain.steps) return { best, values: await validate.reconstruction(stepper, threshold) };
    const { loss, accuracy, values, binding } = await validate.look(stepper, threshold);
    const candidate = { step: after, accuracy, loss };
    if (!isBetter(candidate, best)) return { best, values, binding };
    return { best: { ...candidate, weights: await present(training, stepper, history) }, values, binding };
  };
}

function batchOptions(
  settings: AlignmentSettings,
  silent: Float32Array | null,
  rows: number,
): LabelledBatchOptions {
  return {
    seed: settings.seed,
    batchSize: settings.posttrain.batchSize,
    counterfactual: settings.weights.counterfactual > 0,
    mixEntities: settings.mixEntities,
    silent: silent && rows > 0 && settings.weights.silence > 0 ? { x: silent, rows } : null,
  };
}

function diverged(step: number, stage: 'pretrain' | 'posttrain'): AppError {
  const message = `the loss is not finite at step ${step}; lower ${stage}.learningRate or the loss weights`;
  return new AppError('ENGINE_FAILED', message, { path: ['settings', stage, 'learningRate'] });
}
