/** The alignment job: capture activations, train an SAE on them in two stages, measure it, write it. */
import { join } from 'node:path';
import { invalidInput } from '../../errors.ts';
import { type EngineDataset, SPLITS, type Split } from '../dataset.ts';
import { type LanguageModel, loadLanguageModel } from '../model/languageModel.ts';
import { jobFingerprint } from '../model/trainState.ts';
import type { JobContext } from '../protocol.ts';
import { createRandom } from '../random.ts';
import type { Rows } from '../sae/batches.ts';
import {
  createLoadedSae,
  fitNormalization,
  type LoadedSae,
  type Normalization,
  normalize,
  type StoredSae,
  writeSae,
} from '../sae/file.ts';
import type { SaeConfig } from '../sae/sae.ts';
import type { AlignmentSettings } from '../sae/settings.ts';
import { trainSae } from '../sae/train.ts';
import { measureSplit } from './bind.ts';
import { captureResidPost } from './capture.ts';
import type { AlignmentJob, AlignmentResult, SplitMeasures } from './job.ts';
import { createPhases, type Phases } from './phases.ts';
import { type Population, type Populations, splitPopulations } from './population.ts';
import { reportSlots } from './slotReports.ts';
import { type CapturedPopulations, evaluateSwaps } from './swapEvaluation.ts';
import type { CapturedPrompt } from './swapTrials.ts';

/** Texts whose positions stand for «no concept in play», when the silence term is in use. */
const SILENT_TEXTS = 512;

/**
 * Runs the job from `context.resumeFrom` if it is given; a resumed run's numbers are those of an uninterrupted one
 * on the same backend.
 * @throws {AppError} INVALID_INPUT when the layer is not the model's or the dataset cannot be learned from;
 * ENGINE_FAILED when the loss diverges.
 */
export async function runAlignment(job: AlignmentJob, context: JobContext): Promise<AlignmentResult> {
  const { settings, dataset } = job;
  const populations = splitPopulations(dataset, settings);
  checkJob(job, populations);
  const phases = createPhases(context.reporter);
  reportEntities(context, populations, dataset);
  phases.at('CAPTURE', 0);
  const model = await loadLanguageModel(job.model);
  try {
    const captured = await capturePrompts(model, populations, settings, context);
    const { stored, measuredBy } = await train(job, model, captured, context, phases);
    const sae = createLoadedSae(stored);
    try {
      return await finish(job, stored, { model, sae }, captured, measuredBy, context, phases);
    } finally {
      sae.dispose();
    }
  } finally {
    model.dispose();
  }
}

/** @throws {AppError} INVALID_INPUT with the path of what makes the job impossible. */
function checkJob({ settings, model, dataset }: AlignmentJob, { prompts, populationOf }: Populations): void {
  const { nLayers } = model.config;
  if (settings.layer >= nLayers) {
    throw invalidInput(
      ['settings', 'layer'],
      `layer must be -1 (before the first block) to ${nLayers - 1}, the model's last block; got ${settings.layer}`,
    );
  }
  const learned = prompts.filter((p) => p.split === 'TRAIN' && populationOf(p.entity) === 'SEEN');
  if (learned.length === 0) {
    throw invalidInput(
      ['dataset'],
      'the dataset has no prompt of one concept in its TRAIN split to learn from',
    );
  }
  const asked = new Set(learned.map(({ concepts }) => concepts[0]!));
  const missing = dataset.concepts.find((_, concept) => !asked.has(concept));
  if (missing) {
    throw invalidInput(
      ['dataset'],
      `concept "${missing.key}" has no TRAIN prompt among the entities the SAE may see; every concept needs one`,
    );
  }
  if (settings.weights.silence > 0 && !dataset.texts.some(({ split }) => split === 'TRAIN')) {
    throw invalidInput(
      ['settings', 'weights', 'silence'],
      'the silence term needs TRAIN texts, where no concept is in play; the dataset has none',
    );
  }
}

function reportEntities(
  { reporter }: JobContext,
  { entities, prompts }: Populations,
  dataset: EngineDataset,
): void {
  const { SEEN, VALIDATION, UNSEEN } = entities;
  reporter.log('INFO', `entities: ${SEEN} to learn from, ${VALIDATION} to choose alpha by, ${UNSEEN} unseen`);
  const left = dataset.prompts.length - prompts.length;
  if (left > 0) reporter.log('INFO', `${left} prompts of more than one concept are left out`);
}

/** Activations at the last token of every one-hop prompt. */
async function capturePrompts(
  model: LanguageModel,
  { prompts, populationOf }: Populations,
  { layer }: AlignmentSettings,
  { reporter }: JobContext,
): Promise<CapturedPopulations> {
  const { dModel } = model.config;
  const tokens = prompts.map(({ prompt }) => model.tokenizer.encode(prompt));
  const h = await captureResidPost(model, tokens, { layer, breathe: () => reporter.breathe() });
  const captured: Record<Population, CapturedPrompt[]> = { SEEN: [], VALIDATION: [], UNSEEN: [] };
  prompts.forEach((prompt, i) => {
    const row = h.subarray(i * dModel, (i + 1) * dModel);
    captured[populationOf(prompt.entity)].push({ ...prompt, h: row });
  });
  return captured;
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
  const h = stack(learned, modelConfig.dModel);
  const normalization = fitNormalization(h, modelConfig.dModel);
  const config = saeConfig(settings, dataset, modelConfig);
  const toRows = (prompts: readonly CapturedPrompt[]) => rowsOf(prompts, model, config, normalization);
  const silent = settings.weights.silence > 0 ? await captureTexts(model, dataset, settings, context) : null;
  const best = await trainSae(
    {
      config,
      settings,
      train: toRows(learned),
      validation: toRows(chooseBy(captured, config.nConcepts) ?? learned),
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
    conceptMeans: conceptMeans(learned, config),
  };
  return { stored, measuredBy: best };
}

function saeConfig(
  { nFree, activation, k, valueHidden, weights, mode }: AlignmentSettings,
  { concepts }: EngineDataset,
  { dModel, dVocab }: { dModel: number; dVocab: number },
): SaeConfig {
  const hasHeads = weights.value > 0 && mode !== 'SEPARATE_ACTIVATION';
  const valueHeads = hasHeads ? { hidden: valueHidden, dVocab } : null;
  return { dModel, nFree, nConcepts: concepts.length, activation, k, valueHeads };
}

/**
 * What the best weights are chosen by: validation phrasings of entities that are not reported on, or else training
 * phrasings of validation entities; null when neither asks about every concept.
 */
function chooseBy({ SEEN, VALIDATION }: CapturedPopulations, nConcepts: number): CapturedPrompt[] | null {
  const choices = [
    [...SEEN, ...VALIDATION].filter(({ split }) => split === 'VALIDATION'),
    VALIDATION.filter(({ split }) => split === 'TRAIN'),
  ];
  const isComplete = (prompts: readonly CapturedPrompt[]) =>
    new Set(prompts.map(({ concepts }) => concepts[0])).size === nConcepts;
  return choices.find(isComplete) ?? null;
}

function rowsOf(
  prompts: readonly CapturedPrompt[],
  { tokenizer }: LanguageModel,
  { dModel, nConcepts }: SaeConfig,
  normalization: Normalization,
): Rows {
  const entities = new Map<string, number>();
  for (const { entity } of prompts) if (!entities.has(entity)) entities.set(entity, entities.size);
  return {
    x: normalize(stack(prompts, dModel), normalization),
    dModel,
    nConcepts,
    concepts: Int32Array.from(prompts, ({ concepts }) => concepts[0]!),
    answers: Int32Array.from(prompts, ({ answer }) => firstToken(tokenizer, answer)),
    entities: Int32Array.from(prompts, ({ entity }) => entities.get(entity)!),
  };
}

function firstToken({ encode, eosId }: LanguageModel['tokenizer'], answer: string): number {
  return encode(` ${answer}`)[0] ?? eosId;
}

/** Raw activations at every position of a sample of TRAIN texts, `[n, dModel]`. */
function captureTexts(
  model: LanguageModel,
  { texts }: EngineDataset,
  { layer, seed }: AlignmentSettings,
  { reporter }: JobContext,
): Promise<Float32Array> {
  const stated = texts.filter(({ split }) => split === 'TRAIN');
  const sample = createRandom(seed, 'silent-texts').shuffle(stated).slice(0, SILENT_TEXTS);
  const tokens = sample.map(({ text }) => model.tokenizer.encode(text));
  const positions = tokens.map((ids) => ids.map((_, position) => position));
  return captureResidPost(model, tokens, { layer, positions, breathe: () => reporter.breathe() });
}

function conceptMeans(prompts: readonly CapturedPrompt[], { dModel, nConcepts }: SaeConfig): Float32Array {
  const sums = new Float64Array(nConcepts * dModel);
  const counts = new Float64Array(nConcepts);
  for (const { concepts, h } of prompts) {
    counts[concepts[0]!]!++;
    h.forEach((value, j) => {
      sums[concepts[0]! * dModel + j]! += value;
    });
  }
  return Float32Array.from(sums, (sum, i) => sum / counts[Math.floor(i / dModel)]!);
}

async function finish(
  { dataset, settings }: AlignmentJob,
  stored: StoredSae,
  pair: { model: LanguageModel; sae: LoadedSae },
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
  phases.at('EVALUATE', 0.2);
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
  };
}

function measurePrompts(
  { model, sae }: { model: LanguageModel; sae: LoadedSae },
  split: Split,
  prompts: readonly CapturedPrompt[],
  breathe: () => Promise<void>,
): Promise<SplitMeasures> {
  const data = {
    h: stack(prompts, sae.config.dModel),
    concepts: prompts.map(({ concepts }) => concepts[0]!),
    answers: prompts.map(({ answer }) => firstToken(model.tokenizer, answer)),
  };
  return measureSplit(sae, split, data, breathe);
}

/** Activations of prompts as one array, `[n, dModel]`. */
function stack(prompts: readonly { h: Float32Array }[], dModel: number): Float32Array {
  const all = new Float32Array(prompts.length * dModel);
  prompts.forEach(({ h }, i) => {
    all.set(h, i * dModel);
  });
  return all;
}
