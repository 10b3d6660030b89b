/** How the answer to a swap is judged: by whole answers, by the authors' looser match, and by what kind of answer it is. */
import { normalizeAnswer, overlaps, readingsOf } from '../../data/answers.ts';
import type { Fact } from '../contract/dataset.ts';
import type { LanguageModel } from '../model/languageModel.ts';

export interface Verdict {
  /** It is one of the answers expected, whole. */
  whole: boolean;
  /** It is, or one of the two is a part of the other, as the authors of the paper match. */
  loose: boolean;
  /** It is a value of the target concept, if only another entity's. */
  category: boolean;
}

export type Judge = (answer: string, asked: { target: number; expected: readonly string[] }) => Verdict;

export function createJudge({ prompting }: Pick<LanguageModel, 'prompting'>, facts: readonly Fact[]): Judge {
  const rules = prompting ?? {};
  const compared = (value: string) => normalizeAnswer(value, rules);
  const values = new Map<number, Set<string>>();
  for (const { concept, value } of facts) {
    const known = values.get(concept) ?? new Set();
    values.set(concept, known.add(compared(value)));
  }
  return (answer, { target, expected }) => {
    const readings = readingsOf(answer, rules);
    const isOneOf = (accepted: ReadonlySet<string> | undefined) =>
      accepted !== undefined && readings.some((reading) => accepted.has(reading));
    const whole = isOneOf(new Set(expected.map(compared)));
    const loose = whole || expected.some((value) => overlaps(answer, value));
    return { whole, loose, category: isOneOf(values.get(target)) };
  };
}

/** What verdicts come to. */
export interface Judged {
  trials: number;
  successes: number;
  /** Swaps that succeed by the looser match. */
  looseSuccesses: number;
  /** Of those that fail, whose answer is a value of the target concept. */
  categoryKept: number;
}

export const NOT_JUDGED: Judged = { trials: 0, successes: 0, looseSuccesses: 0, categoryKept: 0 };

/** Adds a verdict to the counts. */
export function note(counts: Judged, { whole, loose, category }: Verdict): void {
  counts.trials++;
  if (whole) counts.successes++;
  if (loose) counts.looseSuccesses++;
  if (!whole && category) counts.categoryKept++;
}

/** The same, with those apart of which the model knows both answers. */
export interface JudgedSwaps extends Judged {
  knownTrials: number;
  knownSuccesses: number;
}

export const NO_SWAPS: JudgedSwaps = { ...NOT_JUDGED, knownTrials: 0, knownSuccesses: 0 };

/** Adds the verdict on a swap. */
export function noteSwap(counts: JudgedSwaps, verdict: Verdict, isKnown: boolean): void {
  note(counts, verdict);
  if (!isKnown) return;
  counts.knownTrials++;
  if (verdict.whole) counts.knownSuccesses++;
}
