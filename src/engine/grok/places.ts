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

/**
 * Last tokens of R1's and R2's labels in a question that names R2 before R1; null where one is not named, or where the
 * tokenizer reads the question up to there otherwise than by itself.
 */
export function findRelations(
  prompt: string,
  relations: readonly [number, number],
  { concepts }: Pick<EngineDataset, 'concepts'>,
  { encode }: Tokenizer,
): [number, number] | null {
  const text = prompt.toLowerCase();
  const all = encode(prompt);
  const endOf = (relation: number, find: 'indexOf' | 'lastIndexOf') => {
    const label = ` ${concepts[relation]!.label.toLowerCase()}`;
    const at = text[find](label);
    const isWord = at >= 0 && !/\w/.test(text[at + label.length] ?? ' ');
    return isWord ? at + label.length : -1;
  };
  const ends = [endOf(relations[0], 'lastIndexOf'), endOf(relations[1], 'indexOf')];
  if (ends.includes(-1) || ends[0]! <= ends[1]!) return null;
  const places = ends.map((end) => {
    const before = encode(prompt.slice(0, end));
    return before.every((id, i) => all[i] === id) ? before.length - 1 : -1;
  });
  return places.includes(-1) ? null : (places as [number, number]);
}

/** The question with another relation at a hop, up to where that hop is read; null where it does not name relations. */
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
  const shift = other.length - own.length;
  return { tokens: [...read.slice(0, end - own.length), ...other, ...read.slice(end)], shift };
}
