/** What an SAE of a dataset's prompts learns from: rows of activations with their labels, sinks left out. */
import type { AlignmentSettings } from '../contract/alignmentSettings.ts';
import type { EngineDataset } from '../contract/dataset.ts';
import type { JobContext } from '../contract/protocol.ts';
import type { LanguageModel } from '../model/languageModel.ts';
import { joinRows, stackRows, takeRows } from '../rows.ts';
import type { Rows } from '../sae/batches.ts';
import { fitNormalization, type Normalization, normalize } from '../sae/normalization.ts';
import { rowNorms, sinkNorm, withoutSinks } from '../sae/sinks.ts';
import { type AnswerTokens, captureAnswerTokens } from './answerTokens.ts';
import { type CapturedPopulations, type CapturedPrompt, chooseBy, conceptMeans, rowsOf } from './captured.ts';
import { captureSilent } from './silent.ts';
import { withheldRows } from './withheld.ts';

export interface TrainingRows {
  normalization: Normalization;
  /** By the activations at last prompt tokens, `[nConcepts, dModel]`. */
  conceptMeans: Float32Array;
  train: Rows;
  /** At last prompt tokens. */
  validation: Rows;
  /** Where no concept is in play, `[n, dModel]`, normalised; null where nothing asks for it. */
  silent: Float32Array | null;
  /** Norm above which an activation is a sink, and how many were left out. */
  sinks: { norm: number; leftOut: number };
}

interface Given {
  model: LanguageModel;
  dataset: EngineDataset;
  /** Activations of the settings' layer. */
  captured: CapturedPopulations;
  settings: AlignmentSettings;
}

/** What a training reads of the model besides last prompt tokens, sinks included; null where nothing asks for it. */
export interface MoreActivations {
  answers: AnswerTokens | null;
  /** Where no concept is in play, `[n, dModel]`. */
  silent: Float32Array | null;
}

/** @throws {AppError} INVALID_INPUT when the silence term has no position to learn from. */
export async function captureMore(given: Given, context: JobContext): Promise<MoreActivations> {
  const { model, dataset, settings } = given;
  const { learned } = learnedOf(given);
  const options = { layer: settings.layer, breathe: () => context.reporter.breathe() };
  return {
    answers:
      settings.positions === 'ANSWER'
        ? await captureAnswerTokens(model, learned, dataset.facts, options)
        : null,
    silent:
      settings.weights.silence > 0 ? await captureSilent(model, dataset, learned, settings, context) : null,
  };
}

/** The prompts that an SAE learns from, without sinks; and which activations are some, and how many there were. */
export function learnedOf({ captured, model }: Pick<Given, 'captured' | 'model'>) {
  const { dModel } = model.config;
  const seen = captured.SEEN.filter(({ split }) => split === 'TRAIN');
  const norm = sinkNorm(rowNorms(stackRows(seen, dModel), dModel));
  const apart = (prompts: readonly CapturedPrompt[]) =>
    prompts.filter(({ h }) => rowNorms(h, dModel)[0]! <= norm);
  const learned = apart(seen);
  return { learned, norm, apart, leftOut: seen.length - learned.length };
}

export function prepareRows(given: Given, { silent, ...more }: MoreActivations): TrainingRows {
  const { model, dataset, captured, settings } = given;
  const { dModel } = model.config;
  const nConcepts = dataset.concepts.length;
  const { learned, norm, apart, leftOut: sinksAtLast } = learnedOf(given);
  const h = stackRows(learned, dModel);
  const answers = more.answers && answersApart(more.answers, norm, dModel);
  const quiet = silent && takeRows(silent, withoutSinks(silent, dModel, norm), dModel);
  const normalization = fitNormalization(
    answers ? joinRows([h, evenSample(answers.h, learned.length, dModel)]) : h,
    dModel,
  );
  const toRows = (prompts: readonly CapturedPrompt[]) => rowsOf(prompts, model, nConcepts, normalization);
  const last = toRows(learned);
  const train = answers ? withAnswers(last, answers, normalization) : last;
  const entities = [...learned, ...Array.from(answers?.prompts ?? [], (prompt) => learned[prompt]!)].map(
    ({ entity }) => entity,
  );
  const leftOut =
    sinksAtLast + (answers?.sinks ?? 0) + ((silent?.length ?? 0) - (quiet?.length ?? 0)) / dModel;
  return {
    normalization,
    conceptMeans: conceptMeans(h, last.concepts, nConcepts),
    train: { ...train, withheld: withheldRows(dataset, settings, entities, train.concepts) },
    validation: toRows(apart(chooseBy(captured, nConcepts) ?? learned)),
    silent: quiet && normalize(quiet, normalization),
    sinks: { norm, leftOut },
  };
}

/** Without sinks, whose number is told. */
function answersApart(
  { h, ...labels }: AnswerTokens,
  norm: number,
  dModel: number,
): AnswerTokens & { sinks: number } {
  const kept = withoutSinks(h, dModel, norm);
  const sinks = labels.said.length - kept.length;
  if (sinks === 0) return { h, ...labels, sinks };
  const choose = (values: Int32Array) => Int32Array.from(kept, (row) => values[row]!);
  return {
    h: takeRows(h, kept, dModel),
    prompts: choose(labels.prompts),
    said: choose(labels.said),
    places: choose(labels.places),
    sinks,
  };
}

/** The rows of last tokens, and behind them those of answers with the labels of the prompts that they stand behind. */
function withAnswers(last: Rows, { h, prompts, said, places }: AnswerTokens, by: Normalization): Rows {
  const extend = (labels: Int32Array) =>
    Int32Array.from([...labels, ...Array.from(prompts, (prompt) => labels[prompt]!)]);
  return {
    ...last,
    x: joinRows([last.x, normalize(h, by)]),
    concepts: extend(last.concepts),
    answers: extend(last.answers),
    entities: extend(last.entities),
    later: { from: last.concepts.length, said, places },
  };
}

/** Up to `count` rows of `h [n, width]`, evenly spaced. */
function evenSample(h: Float32Array, count: number, width: number): Float32Array {
  const n = h.length / width;
  const rows = Array.from({ length: Math.min(n, count) }, (_, i) => Math.floor((i * n) / Math.min(n, count)));
  return takeRows(h, rows, width);
}
