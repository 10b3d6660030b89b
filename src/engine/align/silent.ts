/** Activations where no concept is asked about: what the silence term keeps slots quiet on. */
import { invalidInput } from '../../errors.ts';
import { createRandom } from '../../random.ts';
import type { AlignmentSettings } from '../contract/alignmentSettings.ts';
import type { EngineDataset } from '../contract/dataset.ts';
import type { JobContext } from '../contract/protocol.ts';
import { aloneOf, type LanguageModel } from '../model/languageModel.ts';
import type { Tokens } from '../model/tokens.ts';
import { captureResidPost } from './capture.ts';

/** Texts, and as many prompts, that are sampled. */
const SAMPLE = 512;

/**
 * Raw activations `[n, dModel]` at every position of a sample of TRAIN texts, and at every position before the last of
 * a sample of the prompts that the SAE learns from: there a question is not asked yet.
 * @throws {AppError} INVALID_INPUT when there is no such position, unless texts of a corpus come besides.
 */
export async function captureSilent(
  model: LanguageModel,
  { texts }: EngineDataset,
  learned: readonly { prompt: string }[],
  { layer, seed, silenceOn }: AlignmentSettings,
  { reporter }: JobContext,
): Promise<Float32Array> {
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
    if (silenceOn === 'TEXTS') return new Float32Array(0);
    throw invalidInput(
      ['settings', 'weights', 'silence'],
      'the silence term needs positions where no concept is asked about: TRAIN texts, or prompts of several tokens',
    );
  }
  const breathe = () => reporter.breathe();
  const capture = (reader: LanguageModel, sequences: Tokens[], positions: number[][]) =>
    captureResidPost(reader, sequences, { layer, positions, breathe });
  if (!model.prompting) return capture(model, [...stated, ...asked], [...inTexts, ...inPrompts]);
  // Texts stand alone, prompts as their dataset puts them.
  const rows = [await capture(aloneOf(model), stated, inTexts), await capture(model, asked, inPrompts)];
  return Float32Array.from(rows.flatMap((part) => [...part]));
}
