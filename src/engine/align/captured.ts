/** The activations that an SAE of a dataset's prompts learns from and is measured on. */
import { invalidInput } from '../../errors.ts';
import { type EngineDataset, isQuestion, type Prompt } from '../contract/dataset.ts';
import type { ModelConfig } from '../contract/model.ts';
import type { JobContext } from '../contract/protocol.ts';
import { capturedRows, computes } from '../model/captured.ts';
import type { LanguageModel } from '../model/languageModel.ts';
import { behindPrefix, type Tokens } from '../model/tokens.ts';
import { stackRows } from '../rows.ts';
import type { Rows } from '../sae/batches.ts';
import { type Normalization, normalize } from '../sae/normalization.ts';
import { captureResidPost } from './capture.ts';
import type { Population, Populations } from './population.ts';

/** Prompts that a message lists, and characters of each. */
const MAX_LISTED = 20;
const MAX_QUOTED = 80;

/** A prompt of one concept with its captured activation. */
export interface CapturedPrompt extends Prompt {
  /** Raw, `[dModel]`. */
  h: Float32Array;
}

/** One-hop prompts with their activations, by population. */
export type CapturedPopulations = Record<Population, readonly CapturedPrompt[]>;

/** @throws {AppError} INVALID_INPUT when the layer is not the model's or a concept has nothing to learn from. */
export function checkLearnable(
  {
    settings,
    model,
    dataset,
  }: { settings: { layer: number }; model: { config: ModelConfig }; dataset: EngineDataset },
  { prompts, populationOf }: Populations,
): void {
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
}

/** Logs how the entities are shared out and what is left out. */
export function reportEntities(
  { reporter }: JobContext,
  { entities, prompts }: Populations,
  dataset: EngineDataset,
): void {
  const { SEEN, VALIDATION, UNSEEN } = entities;
  const silent = prompts.filter((prompt) => !isQuestion(prompt)).length;
  reporter.log('INFO', `entities: ${SEEN} to learn from, ${VALIDATION} to choose by, ${UNSEEN} unseen`);
  const left = dataset.prompts.length - prompts.length;
  if (silent > 0) reporter.log('INFO', `${silent} prompts have no answer: value heads are left out`);
  if (left > 0) reporter.log('INFO', `${left} prompts of more than one concept are left out`);
}

/**
 * Activations `[chosen, dModel]` at the last token of these of the dataset's one-hop prompts, computed, or as they were
 * captured elsewhere.
 */
export async function captureLastTokens(
  model: LanguageModel,
  all: readonly Prompt[],
  chosen: readonly Prompt[],
  options: { layer: number; breathe?: () => Promise<unknown> },
): Promise<Float32Array> {
  if (!computes(model)) return capturedRows(model, options.layer, all, chosen);
  const tokens = chosen.map(({ prompt }) => model.asking.prompt(prompt));
  checkLengths(model, chosen, tokens);
  return captureResidPost(model, tokens, options);
}

/** @throws {AppError} INVALID_INPUT listing prompts that are longer than the context, by their lines, or their numbers where they have none. */
function checkLengths(model: LanguageModel, prompts: readonly Prompt[], tokens: readonly Tokens[]): void {
  const { nCtx } = model.config;
  const long = prompts.flatMap(({ prompt, line }, i) => {
    const { length } = tokens[i]!;
    const name = line === undefined ? `prompt ${i + 1}` : `line ${line}`;
    return length > nCtx ? [`${name} has ${length} tokens: "${prompt.slice(0, MAX_QUOTED)}"`] : [];
  });
  if (long.length === 0) return;
  const rest = long.length > MAX_LISTED ? [`and ${long.length - MAX_LISTED} more`] : [];
  const list = [...long.slice(0, MAX_LISTED), ...rest].join('\n');
  const count = `${long.length} of ${prompts.length} prompts`;
  throw invalidInput(
    ['dataset'],
    `the model reads ${nCtx} tokens${behindPrefix(model)}; ${count} are longer\n${list}`,
  );
}

/** Activations at the last token of every one-hop prompt. */
export async function capturePrompts(
  model: LanguageModel,
  populations: Populations,
  { layer }: { layer: number },
  { reporter }: JobContext,
): Promise<CapturedPopulations> {
  const { prompts } = populations;
  const h = await captureLastTokens(model, prompts, prompts, { layer, breathe: () => reporter.breathe() });
  return shareOut(populations, h, model.config.dModel);
}

/** Prompts with their rows of `h [prompts, dModel]`, by the population of their entities. */
export function shareOut(
  { prompts, populationOf }: Pick<Populations, 'prompts' | 'populationOf'>,
  h: Float32Array,
  dModel: number,
): CapturedPopulations {
  const captured: Record<Population, CapturedPrompt[]> = { SEEN: [], VALIDATION: [], UNSEEN: [] };
  prompts.forEach((prompt, i) => {
    const row = h.subarray(i * dModel, (i + 1) * dModel);
    captured[populationOf(prompt.entity)].push({ ...prompt, h: row });
  });
  return captured;
}

/**
 * What the best weights are chosen by: validation phrasings of entities that are not reported on, or else training
 * phrasings of validation entities; null when neither asks about every concept.
 */
export function chooseBy(
  { SEEN, VALIDATION }: CapturedPopulations,
  nConcepts: number,
): CapturedPrompt[] | null {
  const choices = [
    [...SEEN, ...VALIDATION].filter(({ split }) => split === 'VALIDATION'),
    VALIDATION.filter(({ split }) => split === 'TRAIN'),
  ];
  const isComplete = (prompts: readonly CapturedPrompt[]) =>
    new Set(prompts.map(({ concepts }) => concepts[0])).size === nConcepts;
  return choices.find(isComplete) ?? null;
}

/** Training rows of prompts with all their labels; `nConcepts` counts the dataset's concepts. */
export function rowsOf(
  prompts: readonly CapturedPrompt[],
  model: LanguageModel,
  nConcepts: number,
  normalization: Normalization,
): Rows {
  const { dModel } = model.config;
  return {
    x: normalize(stackRows(prompts, dModel), normalization),
    dModel,
    nConcepts,
    concepts: Int32Array.from(prompts, ({ concepts }) => concepts[0]!),
    answers: firstTokens(model, prompts),
    entities: numberNames(prompts.map(({ entity }) => entity)),
  };
}

/** A number for each name, the same for equal names. */
export function numberNames(names: readonly string[]): Int32Array {
  const numbers = new Map<string, number>();
  for (const name of names) if (!numbers.has(name)) numbers.set(name, numbers.size);
  return Int32Array.from(names, (name) => numbers.get(name)!);
}

/** Token ids of the first tokens of answers, as they follow their prompts; zeros where there is no tokenizer. */
export function firstTokens(model: LanguageModel, prompts: readonly Prompt[]): Int32Array {
  if (!computes(model)) return new Int32Array(prompts.length);
  return Int32Array.from(prompts, ({ answer }) => firstToken(model, answer));
}

/** Token id of the first token of an answer, as it follows a prompt; the end token where there is no answer to give. */
export function firstToken({ asking }: LanguageModel, answer: string | null): number {
  return (answer === null ? undefined : asking.answer(answer)[0]) ?? asking.endId;
}

/** Mean of each concept's raw activations `h [n, dModel]`, `[nConcepts, dModel]`. */
export function conceptMeans(h: Float32Array, concepts: ArrayLike<number>, nConcepts: number): Float32Array {
  const dModel = h.length / concepts.length;
  const sums = new Float64Array(nConcepts * dModel);
  const counts = new Float64Array(nConcepts);
  for (let i = 0; i < concepts.length; i++) {
    const concept = concepts[i]!;
    counts[concept]!++;
    for (let j = 0; j < dModel; j++) sums[concept * dModel + j]! += h[i * dModel + j]!;
  }
  return Float32Array.from(sums, (sum, i) => sum / counts[Math.floor(i / dModel)]!);
}
