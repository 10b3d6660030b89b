/** Activations of two-hop questions at their hops. */
import { captureResidPost } from '../align/capture.ts';
import type { LanguageModel } from '../model/languageModel.ts';
import type { HopActivations } from './hopSae.ts';
import { answeringPlace, type HopPlace } from './places.ts';
import type { TwoHopQuestion } from './questions.ts';

/** The hops by their number from 0. */
export const HOPS = [0, 1] as const;

/** Activations of questions at one of their hops, 0 or 1: where its answer is predicted, or at another place of it. */
export async function captureHop(
  model: LanguageModel,
  questions: readonly TwoHopQuestion[],
  hop: 0 | 1,
  { layer }: { layer: number },
  breathe: () => Promise<void>,
  place: HopPlace = answeringPlace(hop),
): Promise<HopActivations> {
  // The end token is no input.
  const sequences = questions.map(({ tokens }) => tokens.slice(0, -1));
  const positions = questions.map((question) => [place.positionOf(question)]);
  const h = await captureResidPost(model, sequences, { layer, positions, breathe });
  return {
    h,
    relations: questions.map(({ relations }) => relations[hop]),
    entities: questions.map(({ entities }) => entities[hop]),
    groups: questions.map((question) => place.groupOf(question)),
    answers: questions.map(({ answers }) => answers[hop]),
  };
}
