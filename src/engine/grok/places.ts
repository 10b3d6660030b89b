/** The tokens at which a hop is read and edited. */
import { invalidInput } from '../../errors.ts';
import type { Tokenizer } from '../../formats/tokenizer.ts';
import type { GrokSettings } from '../contract/analysisSettings.ts';
import type { EngineDataset } from '../contract/dataset.ts';
import type { TwoHopQuestion } from './questions.ts';

export interface HopPlace {
  positionOf(question: TwoHopQuestion): number;
  /** What the activation there tells besides the relation: whose it is, or, before that is read, the other relation. */
  groupOf(question: TwoHopQuestion): string;
}

/** Where the hop's answer is predicted, which is always read. */
export function answeringPlace(hop: 0 | 1): HopPlace {
  return { positionOf: ({ positions }) => positions[hop], groupOf: ({ entities }) => entities[hop] };
}

/**
 * The places of a hop in the order of tokens, the last one being where its answer is predicted.
 * @throws {AppError} INVALID_INPUT when a question does not name the relation by its label.
 */
export function placesOf(
  hop: 0 | 1,
  { positions }: Pick<GrokSettings, 'positions'>,
  questions: readonly TwoHopQuestion[],
): HopPlace[] {
  const answering = answeringPlace(hop);
  if (positions === 'ANSWERING') return [answering];
  if (questions.some(({ relationPlaces }) => relationPlaces === null))
    throw invalidInput(
      ['analysis', 'positions'],
      'positions RELATION needs questions that name both relations by their labels, the second one first; take ANSWERING for this dataset',
    );
  const named: HopPlace = {
    positionOf: ({ relationPlaces }) => relationPlaces![hop],
    groupOf: ({ relations }) => String(relations[1 - hop]),
  };
  const isSame = questions.every((question) => named.positionOf(question) === answering.positionOf(question));
  return isSame ? [answering] : [named, answering];
}

/** The question with another relation at a hop, up to where that hop is read; null where it does not name them as such. */
export function askOther(
  { tokens, positions, relations, relationPlaces }: TwoHopQuestion,
  hop: 0 | 1,
  target: number,
  { concepts }: Pick<EngineDataset, 'concepts'>,
  { encode }: Tokenizer,
): { tokens: number[]; shift: number } | null {
  if (!relationPlaces) return null;
  const said = (relation: number) => encode(` ${concepts[relation]!.label}`);
  const [own, other] = [said(relations[hop]), said(target)];
  const end = relationPlaces[hop] + 1;
  const read = tokens.slice(0, positions[hop] + 1);
  // A tokenizer may read a label otherwise where no blank stands before it.
  if (own.some((id, i) => read[end - own.length + i] !== id)) return null;
  const shift = other.length - own.length;
  return { tokens: [...read.slice(0, end - own.length), ...other, ...read.slice(end)], shift };
}
