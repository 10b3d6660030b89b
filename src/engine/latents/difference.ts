/** The direction from one concept to another: the difference of their mean activations. */
import { invalidInput } from '../../errors.ts';
import { conceptMeans } from '../align/captured.ts';
import type { ConceptDifferenceCall } from '../contract/latents.ts';
import { minus } from '../edits/methods.ts';
import type { LoadedPair } from '../loaded.ts';
import { takeRows } from '../rows.ts';
import { type CapturedPrompts, capturedPrompts } from './capture.ts';

type Call = Omit<ConceptDifferenceCall, 'model' | 'sae'>;

/**
 * Mean raw activation, at the last token, of the TRAIN prompts about `of` less that of those about `from`, `[dModel]`, of the
 * entities that the SAE learned from; null where the dataset has to be given.
 * @throws {AppError} INVALID_INPUT at `of` or `from` where no such prompt is about the concept.
 */
export async function readDifference(pair: LoadedPair, call: Call): Promise<Float32Array | null> {
  const { concepts, conceptMeans: own, config } = pair.sae;
  if (call.isOwn && Math.max(call.of, call.from) < concepts.length)
    return difference(own, config.dModel, call);
  const captured = await capturedPrompts(pair, call);
  return captured && difference(meansOf(captured, config.dModel, call), config.dModel, call);
}

function meansOf({ prompts, h }: CapturedPrompts, dModel: number, { of, from }: Call): Float32Array {
  const rows = prompts.flatMap(({ learned, concept }, i) =>
    learned && (concept === of || concept === from) ? [i] : [],
  );
  const labels = rows.map((row) => prompts[row]!.concept);
  for (const [field, concept] of Object.entries({ of, from }))
    if (!labels.includes(concept))
      throw invalidInput([field], `${field} must be a concept that TRAIN prompts of the dataset are about`);
  return conceptMeans(takeRows(h, rows, dModel), labels, Math.max(of, from) + 1);
}

function difference(means: Float32Array, dModel: number, { of, from }: Call): Float32Array {
  const mean = (concept: number) => means.subarray(concept * dModel, (concept + 1) * dModel);
  return minus(mean(of), mean(from));
}
