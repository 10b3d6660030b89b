/** Activations where no concept is asked about: what the silence term keeps slots quiet on. */
import { invalidInput } from '../../errors.ts';
import { createRandom } from '../../random.ts';
import type { AlignmentSettings } from '../contract/alignmentSettings.ts';
import type { EngineDataset } from '../contract/dataset.ts';
import type { JobContext } from '../contract/protocol.ts';
import { aloneOf, type LanguageModel } from '../model/languageModel.ts';
import type { Tokens } from '../model/tokens.ts';
import { joinRows } from '../rows.ts';
import { captureResidPost } from './capture.ts';

/** Texts, and as many prompts, that are sampled. */
const SAMPLE = 512;

/** Sequences as a model reads them, with positions of each. */
export interface Reading {
  reader: LanguageModel;
  sequences: Tokens[];
  positions: number[][];
}

/** Raw activations `[n, dModel]` at the positions that `listSilent` names, and with its errors. */
export async function captureSilent(
  model: LanguageModel,
  dataset: EngineDataset,
  learned: readonly { prompt: string }[],
  settings: AlignmentSettings,
  { reporter }: JobContext,
): Promise<Float32Array> {
  const breathe = () => reporter.breathe();
  const parts: Float32Array[] = [];
  for (const { reader, sequences, positions } of listSilent(model, dataset, learned, settings))
    parts.push(await captureResidPost(reader, sequences, { layer: settings.layer, positions, breathe }));
  return joinRows(parts);
}

/**
 * Every position of a sample of TRAIN texts, which stand alone, and every position before the last of a sample of the
 * prompts that the SAE learns from, as their dataset puts them: there a question is not asked yet.
 * @throws {AppError} INVALID_INPUT when there is no such position, unless texts of a corpus come besides.
 */
export function listSilent(
  model: LanguageModel,
  { texts }: EngineDataset,
  learned: readonly { prompt: string }[],
  { seed, silenceOn }: AlignmentSettings,
): Reading[] {
  const draw = <T>(stream: string, items: readonly T[]) =>
    createRandom(seed, stream)
      .shuffle([...items])
      .slice(0, SAMPLE);
  const stated = draw(
    'silent-texts',
    texts.filter(({ split }) => split === 'TRAIN'),
  ).map(({ text }) => model.tokenizer.encode(text));
  const asked = draw('silent-prompts', learned).map(({ prompt }) => model.asking.prompt(prompt));
  const inTexts = stated.map((tokens) => tokens.map((_, position) => position));
  const inPrompts = asked.map((tokens) => tokens.slice(1).map((_, position) => position));
  if ([...inTexts, ...inPrompts].every((chosen) => chosen.length === 0)) {
    if (silenceOn === 'TEXTS') return [];
    throw invalidInput(
      ['settings', 'weights', 'silence'],
      'the silence term needs positions where no concept is asked about: TRAIN texts, or prompts of several tokens',
    );
  }
  return [
    { reader: aloneOf(model), sequences: stated, positions: inTexts },
    { reader: model, sequences: asked, positions: inPrompts },
  ];
}
