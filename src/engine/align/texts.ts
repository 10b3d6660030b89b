/** Opens the corpus of a training and makes streams of the SAE's inputs of it. */

import type { AlignmentSettings } from '../contract/alignmentSettings.ts';
import { type CorpusRef, usesOfTexts } from '../contract/corpus.ts';
import type { JobContext } from '../contract/protocol.ts';
import { aloneOf, type LanguageModel } from '../model/languageModel.ts';
import { type Normalization, normalize } from '../sae/normalization.ts';
import type { TextRows, TrainingTexts } from '../sae/texts.ts';
import { openCorpus } from '../texts/corpus.ts';
import { createTextStream, type TextPosition } from '../texts/textStream.ts';

interface OnTexts {
  model: LanguageModel;
  settings: AlignmentSettings;
  corpus?: CorpusRef | undefined;
}

/** Silent rows of texts that looks at training are taken by. */
const SAMPLE = 512;

/**
 * What a training draws from texts; undefined where its settings ask for none. The caller closes it. Activations are
 * normalised as those of prompts are, for one SAE reads both.
 * @throws {AppError} INVALID_INPUT for a corpus without tokens.
 */
export async function openTrainingTexts(
  { model, settings, corpus: ref }: OnTexts,
  normalization: Normalization,
  { reporter }: JobContext,
): Promise<(TrainingTexts & { close(): Promise<void> }) | undefined> {
  const uses = usesOfTexts(settings);
  if (uses.length === 0) return undefined;
  if (!ref) throw new Error('a training on texts was given no corpus');
  const corpus = await openCorpus(ref);
  const { layer, seed, texts } = settings;
  const open = (stream: string, changes: { bufferRows?: number } = {}, from?: TextPosition): TextRows => {
    const options = { ...texts, ...changes, layer, seed, stream, breathe: () => reporter.breathe() };
    const { next, position } = createTextStream(aloneOf(model), corpus, options, from);
    return {
      position,
      async next(rows) {
        return { data: normalize(await next(rows), normalization), shape: [rows, model.config.dModel] };
      },
    };
  };
  try {
    const looks = open('LOOKS', { bufferRows: SAMPLE });
    const sample = uses.includes('SILENCE') ? (await looks.next(SAMPLE)).data : new Float32Array(0);
    return {
      uses,
      sample: sample as Float32Array,
      open: (use, from) => open(use, {}, from),
      close: () => corpus.close(),
    };
  } catch (error) {
    await corpus.close();
    throw error;
  }
}
