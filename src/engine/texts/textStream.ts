/** Activations at every position of a corpus, mixed: an endless stream that holds one buffer of them. */
import { AppError } from '../../errors.ts';
import { createRandom } from '../../random.ts';
import { captureResidPost } from '../align/capture.ts';
import type { TextStreamSettings } from '../contract/alignmentSettings.ts';
import type { LanguageModel } from '../model/languageModel.ts';
import type { Tokens } from '../model/tokens.ts';
import { takeRows } from '../rows.ts';
import { withoutSinks } from '../sae/sinks.ts';
import { type ContextPosition, createContexts } from './contexts.ts';
import type { Corpus } from './corpus.ts';

/** Tokens that the model reads at a time: enough for all cores, few enough for their memory. */
const TOKENS_AT_ONCE = 8192;

/** Where a stream goes on. The buffer itself is not kept: it is captured again. */
export interface TextPosition {
  /** Where the buffer was filled from. */
  begin: ContextPosition;
  /** How many fillings came before. */
  filling: number;
  /** Rows drawn from this filling. */
  drawn: number;
}

export interface TextStream {
  /** The next raw activations `[rows, dModel]`. */
  next(rows: number): Promise<Float32Array>;
  position(): TextPosition;
}

export interface TextStreamOptions extends TextStreamSettings {
  layer: number;
  seed: number;
  /** Tells streams of one seed apart. */
  stream: string;
  breathe: () => Promise<unknown>;
}

/**
 * A stream from its beginning, or from a position on exactly as the one whose it was. One filling of the buffer comes
 * from documents all over the corpus, so batches drawn from it at random are mixed over the whole of it.
 * @throws {AppError} From `next`: INVALID_INPUT for a corpus without tokens, ENGINE_FAILED for a model that computes none.
 */
export function createTextStream(
  model: LanguageModel,
  corpus: Corpus,
  options: TextStreamOptions,
  from?: TextPosition,
): TextStream {
  const { contextLength, bufferRows, draws, seed, stream } = options;
  const { nCtx, dModel } = model.config;
  const { encode } = model.tokenizer;
  const contexts = createContexts(
    corpus,
    { encode, length: Math.min(contextLength, nCtx), seed, stream },
    from?.begin,
  );
  const buffer = new Float32Array(bufferRows * dModel);
  let begin = contexts.position();
  let filling = (from?.filling ?? 0) - 1;
  /** Rows of the buffer that are no sinks; null before it is filled. */
  let kept: number[] | null = null;
  /** These in the order in which they are drawn the `pass`-th time. */
  let order: { pass: number; rows: number[] } | null = null;
  let drawn = from?.drawn ?? 0;

  const fill = async () => {
    begin = contexts.position();
    filling++;
    await captureInto(buffer, model, await contexts.take(bufferRows), options);
    kept = withoutSinks(buffer, dModel);
    if (kept.length === 0)
      throw new AppError(
        'ENGINE_FAILED',
        'the activations of the corpus are not numbers: is the model sound?',
      );
    order = null;
  };
  const orderOf = (pass: number): number[] => {
    if (order?.pass !== pass)
      order = { pass, rows: createRandom(seed, 'buffer', stream, filling, pass).shuffle([...kept!]) };
    return order.rows;
  };

  return {
    position: () => ({ begin, filling: Math.max(filling, 0), drawn }),
    async next(rows) {
      if (kept === null) await fill();
      const taken = new Float32Array(rows * dModel);
      for (let done = 0; done < rows; ) {
        if (drawn === draws * kept!.length) {
          await fill();
          drawn = 0;
        }
        const place = drawn % kept!.length;
        const chosen = orderOf(Math.floor(drawn / kept!.length)).slice(place, place + rows - done);
        taken.set(takeRows(buffer, chosen, dModel), done * dModel);
        done += chosen.length;
        drawn += chosen.length;
      }
      return taken;
    },
  };
}

/** Fills `buffer [rows, dModel]` with the activations of all tokens of `contexts`, as many as it has rows. */
async function captureInto(
  buffer: Float32Array,
  model: LanguageModel,
  contexts: readonly Tokens[],
  { layer, contextLength, breathe }: TextStreamOptions,
): Promise<void> {
  // Contexts of like lengths are read together, so that little is padded.
  const byLength = contexts.toSorted((a, b) => a.length - b.length);
  const together = Math.max(1, Math.floor(TOKENS_AT_ONCE / contextLength));
  let offset = 0;
  for (let start = 0; start < byLength.length; start += together) {
    const part = byLength.slice(start, start + together);
    const positions = part.map((tokens) => tokens.map((_, position) => position));
    const h = await captureResidPost(model, part, { layer, positions, batchSize: together, breathe });
    buffer.set(h, offset);
    offset += h.length;
  }
}
