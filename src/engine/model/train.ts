/** Trains a language model, from scratch or from a model's weights: a job's settings and dataset in, a `.safetensors` file out. */
import { basename, join } from 'node:path';
import { AppError, invalidInput } from '../../errors.ts';
import { writeSafetensors } from '../../formats/safetensors.ts';
import {
  buildWordLevelTokenizer,
  loadTokenizer,
  type Tokenizer,
  type TokenizerJson,
} from '../../formats/tokenizer.ts';
import { checkMemory } from '../../memory.ts';
import { createRandom } from '../../random.ts';
import type { Arrays } from '../contract/arrays.ts';
import { type EngineDataset, isQuestion, SPLITS, type Split } from '../contract/dataset.ts';
import type { ModelConfig, ModelJob, ModelResult, ModelSnapshot } from '../contract/model.ts';
import { gpt2Decoder } from '../contract/modelDecoder.ts';
import type { ModelSettings } from '../contract/modelSettings.ts';
import { modelWeights } from '../contract/modelWeights.ts';
import type { JobContext } from '../contract/protocol.ts';
import { createStepper } from '../step/create.ts';
import type { Stepper } from '../step/stepper.ts';
import { measureAccuracy } from './accuracy.ts';
import { askingOf } from './asking.ts';
import {
  type Batches,
  createBatches,
  fitting,
  judgedSequence,
  longestInput,
  trainingSequences,
} from './batches.ts';
import { initWeights, readWeights, weightBytes } from './languageModel.ts';
import { greedyPredictions, nextTokenLoss } from './loss.ts';
import type { Room, Sequence } from './packing.ts';
import { createEta, learningRateAt } from './schedule.ts';
import { jobFingerprint, readTrainState, writeTrainState } from './trainState.ts';

/** Times that accuracy is measured on a sample while training, the end not counted. */
const PROBES = 10;
/** What a step holds as large as the weights: them, their gradients and two moments. */
const COPIES = 4;
const PROBE_PROMPTS = 128;

/** What a checkpoint holds besides the stepper's state; batches follow from the step. */
interface Position {
  step: number;
  loss: number;
}

interface Plan {
  settings: ModelSettings;
  config: ModelConfig;
  tokenizer: TokenizerJson;
  batches: Batches;
  questions: ReadonlyMap<Split, Sequence[]>;
  /** The most inputs of a sequence that is learned from or asked, and place for as many as a batch mostly has. */
  T: number;
  room: Room;
  /** Steps after which the model is handed over. */
  keepSteps: ReadonlySet<number>;
  fingerprint: string;
}

/**
 * Trains with masked next-token loss, AdamW, warm-up and cosine, from `context.resumeFrom` if it is given; a
 * resumed run's numbers are those of an uninterrupted one on the same backend.
 * @throws {AppError} INVALID_INPUT when a sequence is longer than nCtx, LIMIT_EXCEEDED when it needs more memory than this
 * machine has, before any weight is read; ENGINE_FAILED when the loss diverges.
 */
export async function trainModel(job: ModelJob, context: JobContext): Promise<ModelResult> {
  const plan = planTraining(job);
  checkMemory('training the model', COPIES * weightBytes(plan.config));
  const stepper = createModelStepper(plan, await firstWeights(job, plan));
  try {
    const finalLoss = await runSteps(plan, stepper, context);
    context.reporter.progress({ phase: 'EVALUATE', progress: 0.99, etaSeconds: null });
    const accuracy = await measureSplits(plan, plan.questions, stepper, context);
    const written = await writeModel(plan, stepper, context, 'model');
    context.reporter.progress({ phase: 'EVALUATE', progress: 1, etaSeconds: 0 });
    return { kind: 'MODEL', ...written, finalLoss, accuracy };
  } finally {
    stepper.dispose();
  }
}

function firstWeights({ settings, initial }: ModelJob, { config }: Plan): Arrays | Promise<Arrays> {
  return initial ? readWeights(initial) : initWeights(config, settings.initStd!, settings.seed);
}

function planTraining(job: ModelJob): Plan {
  const { settings, dataset, initial, keepSteps = [] } = job;
  const { nCtx } = settings;
  const { prompts } = dataset;
  const json = initial ? (initial.tokenizer as TokenizerJson) : tokenizerOf(dataset);
  const tokenizer = loadTokenizer(json);
  if (initial) checkAnswers(tokenizer, dataset);
  const asking = askingOf(tokenizer, dataset);
  const questions = new Map<Split, Sequence[]>();
  for (const split of SPLITS) {
    const asked = prompts.filter((prompt) => prompt.split === split && isQuestion(prompt));
    const sequences = asked.map((p) => fitting(judgedSequence(asking, p, nCtx), p.prompt, nCtx));
    if (sequences.length > 0) questions.set(split, sequences);
  }
  const batches = createBatches(trainingSequences(tokenizer, learnedOf(job), nCtx), settings);
  const asked = [...questions.values()].flat().flatMap((one) => [one, ...(one.others ?? [])]);
  return {
    settings,
    config: initial?.config ?? newConfig(settings, tokenizer),
    tokenizer: json,
    batches,
    questions,
    ...shapesOf(batches, longestInput(asked)),
    keepSteps: new Set(keepSteps),
    // Weights are named by what is in them.
    fingerprint: jobFingerprint({ settings, dataset, initial: initial && basename(initial.weights) }),
  };
}

function shapesOf({ usual, longest }: Batches, asked: number): Pick<Plan, 'T' | 'room'> {
  const room = {
    ...usual,
    tokens: Math.max(asked, usual.tokens),
    targets: Math.max(asked, usual.targets),
  };
  return { T: Math.max(longest, asked), room };
}

function tokenizerOf({ prefix = '', prompts, texts }: EngineDataset): TokenizerJson {
  return buildWordLevelTokenizer([
    ...prompts.map(({ prompt, answer }) => `${prompt} ${answer ?? ''}`),
    ...texts.map(({ text }) => text),
    prefix,
  ]);
}

function newConfig(settings: ModelSettings, { dVocab }: Tokenizer): ModelConfig {
  const { nLayers, nHeads, dModel, nCtx, attentionOnlyBlocks: missing } = settings;
  const config = { nLayers, nHeads, dModel, dMlp: 4 * dModel, nCtx, dVocab, layerNormEps: 1e-5 };
  if (missing === 0) return config;
  const decoder = gpt2Decoder(config);
  return { ...config, decoder: { ...decoder, mlp: { ...decoder.mlp, missing } } };
}

/** What is learned from: texts that no batch has a place for need not fit into the context. */
function learnedOf({ settings, dataset }: ModelJob): EngineDataset {
  const asks = dataset.prompts.some((prompt) => prompt.split === 'TRAIN' && isQuestion(prompt));
  return asks && settings.textShare === 0 ? { ...dataset, texts: [] } : dataset;
}

/** An answer of which the tokenizer does not know a word would be learned, and counted as right, as another. */
function checkAnswers({ encode, unkId }: Tokenizer, { prompts }: EngineDataset): void {
  const unknown =
    unkId === null
      ? undefined
      : prompts.filter(isQuestion).find(({ answer }) => encode(` ${answer}`).includes(unkId));
  if (!unknown) return;
  throw invalidInput(
    ['modelId'],
    `the model's tokenizer does not know all words of the answer "${unknown.answer}" to "${unknown.prompt}"`,
  );
}

function createModelStepper({ settings, config, T }: Plan, weights: Arrays): Stepper {
  const table = modelWeights(config);
  return createStepper({
    weights,
    optimizer: {
      beta1: settings.beta1,
      beta2: settings.beta2,
      epsilon: 1e-8,
      weightDecay: settings.weightDecay,
      decays: (name) => table[name]!.decayed,
      clipNorm: settings.clipNorm,
    },
    losses: { nextToken: nextTokenLoss(config, T) },
    evals: { predict: greedyPredictions(config, T) },
  });
}

/** Runs the steps that are left and returns the last one's loss. */
async function runSteps(plan: Plan, stepper: Stepper, context: JobContext): Promise<number> {
  const { reporter, resumeFrom } = context;
  const { steps, logEvery } = plan.settings;
  let position: Position = { step: 0, loss: Number.NaN };
  if (resumeFrom) {
    const saved = await readTrainState<Position>(resumeFrom, plan.fingerprint);
    stepper.writeState(saved.state);
    position = saved.position;
  } else if (plan.keepSteps.has(0)) await handOver(plan, stepper, context, 0);
  const probe = createProbe(plan, stepper, context);
  const eta = createEta(position.step, steps);
  for (let step = position.step + 1; step <= steps; step++) {
    const learningRate = learningRateAt(plan.settings, step);
    const values = stepper.step('nextToken', plan.batches.at(step - 1), learningRate);
    if (!Number.isFinite(values.loss)) throw diverged(step, learningRate);
    position = { step, loss: values.loss! };
    const logged = step % logEvery === 0 || step === 1 || step === steps;
    const row = { ...(logged && { ...values, learningRate }), ...(await probe(step)) };
    if (Object.keys(row).length > 0) reporter.metrics({ step, at: Date.now(), values: row });
    reporter.progress({ phase: 'TRAIN', progress: (0.99 * step) / steps, etaSeconds: eta(step) });
    if (plan.keepSteps.has(step)) await handOver(plan, stepper, context, step);
    if (reporter.checkpointDue()) await saveCheckpoint(plan, stepper, context, position);
    await reporter.breathe();
  }
  return position.loss;
}

/** A checkpoint of the same step follows it, so that a run that goes on has handed over all before. */
async function handOver(plan: Plan, stepper: Stepper, context: JobContext, step: number): Promise<void> {
  const written = await writeModel(plan, stepper, context, `step-${step}`);
  context.reporter.snapshot({ step, ...written });
}

async function writeModel(
  { config, tokenizer }: Plan,
  stepper: Stepper,
  { workDir }: JobContext,
  name: string,
): Promise<Omit<ModelSnapshot, 'step'>> {
  const { weights: arrays } = await stepper.readState();
  const metadata = { format: 'pt', config: JSON.stringify(config) };
  const weights = await writeSafetensors(join(workDir, `${name}.safetensors`), arrays, metadata);
  const nParams = Object.values(arrays).reduce((sum, { data }) => sum + data.length, 0);
  return { weights, config, tokenizer, nParams };
}

async function saveCheckpoint(
  { fingerprint }: Plan,
  stepper: Stepper,
  { workDir, reporter }: JobContext,
  position: Position,
): Promise<void> {
  const path = join(workDir, `checkpoint-${position.step}.safetensors`);
  const state = await stepper.readState();
  await reporter.checkpoint(position.step, await writeTrainState(path, fingerprint, state, position));
}

/** `accuracy/<split>` on a fixed sample of each split, a few times along the run; otherwise nothing. */
function createProbe(plan: Plan, stepper: Stepper, context: JobContext) {
  const { settings, questions } = plan;
  const every = Math.max(1, Math.ceil(settings.steps / PROBES));
  const samples = new Map<Split, Sequence[]>();
  for (const [split, sequences] of questions) {
    const shuffled = createRandom(settings.seed, 'probe', split).shuffle([...sequences]);
    samples.set(split, shuffled.slice(0, PROBE_PROMPTS));
  }
  return async (step: number): Promise<Record<string, number>> => {
    const values: Record<string, number> = {};
    if (step % every !== 0) return values;
    for (const [split, accuracy] of Object.entries(await measureSplits(plan, samples, stepper, context))) {
      values[`accuracy/${split.toLowerCase()}`] = accuracy;
    }
    return values;
  };
}

async function measureSplits(
  { room }: Plan,
  questions: ReadonlyMap<Split, Sequence[]>,
  stepper: Stepper,
  { reporter }: JobContext,
): Promise<Partial<Record<Split, number>>> {
  const accuracy: Partial<Record<Split, number>> = {};
  for (const [split, sequences] of questions) {
    accuracy[split] = await measureAccuracy(stepper, sequences, room, () => reporter.breathe());
  }
  return accuracy;
}

function diverged(step: number, learningRate: number): AppError {
  const message = `the loss is not finite at step ${step} (learning rate ${learningRate}); lower learningRate`;
  return new AppError('ENGINE_FAILED', message);
}
