/** Swaps of a hop that edit at several tokens of a question together. */

import { captureResidPost } from '../align/capture.ts';
import type { HopPlace } from '../grok/places.ts';
import type { ResidHook } from '../model/decoder.ts';
import { replacing } from '../model/edit.ts';
import type { LanguageModel } from '../model/languageModel.ts';
import { takeRows } from '../rows.ts';
import { continueAll, isExpected, longestAnswer } from './answers.ts';
import type { HopTrial } from './hopTrials.ts';

/** Trials with what the model holds at each of their places, `[trials, dModel]`, in the order of tokens. */
export interface PlacedTrials extends LocatedTrials {
  h: readonly Float32Array[];
}

/** Trials with where each of their places is. */
export interface LocatedTrials {
  trials: readonly HopTrial[];
  /** By place, by trial. */
  positions: readonly (readonly number[])[];
}

export function locateTrials(trials: readonly HopTrial[], places: readonly HopPlace[]): LocatedTrials {
  return {
    trials,
    positions: places.map(({ positionOf }) => trials.map(({ question }) => positionOf(question))),
  };
}

export async function placeTrials(
  model: LanguageModel,
  trials: readonly HopTrial[],
  places: readonly HopPlace[],
  layer: number,
  breathe: () => Promise<void>,
): Promise<PlacedTrials> {
  const located = locateTrials(trials, places);
  const h = [];
  for (const own of located.positions) h.push(await captureAt(model, trials, own, layer, breathe));
  return { ...located, h };
}

/** Raw activations `[sequences, dModel]` at one position of each. */
export function captureAt(
  model: LanguageModel,
  sequences: readonly { tokens: readonly number[] }[],
  positions: readonly number[],
  layer: number,
  breathe: () => Promise<void>,
): Promise<Float32Array> {
  return captureResidPost(
    model,
    sequences.map(({ tokens }) => tokens),
    { layer, positions: positions.map((position) => [position]), breathe },
  );
}

/**
 * What the model says to each trial with `values`, by place `[trials, dModel]`, in the place of its own activations; the
 * last place is the last token. Tokens without the end token, at most one more than the longest answer expected.
 */
export function answerPlaces(
  model: LanguageModel,
  layer: number,
  { trials, positions }: LocatedTrials,
  values: readonly Float32Array[],
  breathe: () => Promise<void>,
): Promise<number[][]> {
  const { dModel } = model.config;
  const last = positions.length - 1;
  const hookOf = (rows: readonly number[], step: number): ResidHook | undefined => {
    if (step > 0) return undefined;
    const at = (place: number, own: readonly number[]) => {
      const edit = { layer, values: takeRows(values[place]!, rows, dModel), positions: own };
      return replacing(
        edit,
        rows.map(() => []),
        0,
      );
    };
    if (step === 0)
      return at(
        last,
        rows.map(() => 0),
      );
    const earlier = positions.slice(0, last).map((own, place) =>
      at(
        place,
        rows.map((row) => own[row]!),
      ),
    );
    if (earlier.length === 0) return undefined;
    return { layer, apply: (resid) => earlier.reduce((h, hook) => hook.apply(h), resid) };
  };
  return continueAll(
    model,
    trials.map(({ tokens }) => tokens),
    hookOf,
    (row) => longestAnswer(model, trials[row]!.expected) + 1,
    breathe,
  );
}

/** Whether each answer is the target's, whole. */
export function judgePlaces(
  model: LanguageModel,
  trials: readonly HopTrial[],
  made: readonly (readonly number[])[],
): boolean[] {
  return trials.map(({ expected }, i) =>
    isExpected(model, model.tokenizer.decode([...made[i]!]).trim(), expected),
  );
}
