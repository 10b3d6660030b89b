/** When two answers are the same: dates compare as dates, text trimmed and, unless asked otherwise, case-folded, whole answers only. */
import { MONTHS } from './vocabulary.ts';

/** What a dataset says about its answers. */
export interface AnswerRules {
  /** What ends an answer where the model goes on, such as a full stop. */
  answerEnd?: string | null | undefined;
  /** Whether "raise" is another answer than "RAISE". */
  letterCase?: boolean | undefined;
}

/** True when `a` and `b` say the same: spacing, case, and how a date is written make no difference. */
export function sameAnswer(a: string, b: string): boolean {
  return normalizeAnswer(a) === normalizeAnswer(b);
}

/** True when the text is one of the accepted answers, whole: by itself, or up to a place where what ends an answer stands. */
export function isAnswer(text: string, accepted: readonly string[], rules: AnswerRules = {}): boolean {
  const said = new Set(readingsOf(text, rules));
  return accepted.some((answer) => said.has(normalizeAnswer(answer, rules)));
}

/** What the text may be taken to answer, in the form in which answers compare; see `isAnswer`. */
export function readingsOf(text: string, rules: AnswerRules): string[] {
  const { answerEnd: end } = rules;
  const candidates = [text];
  if (end)
    for (let at = text.indexOf(end); at >= 0; at = text.indexOf(end, at + 1))
      candidates.push(text.slice(0, at));
  return candidates.map((candidate) => normalizeAnswer(candidate, rules));
}

/** Whether one of the two is a part of the other, without regard to case and spacing: the match of the paper's authors. */
export function overlaps(a: string, b: string): boolean {
  const [first, second] = [a, b].map((text) => wordsOf(text.toLowerCase()).join(' ')) as [string, string];
  return first !== '' && second !== '' && (first.includes(second) || second.includes(first));
}

/** The form in which answers compare: a date as `yyyy-mm-dd`, anything else as words and marks, in lower case unless that tells them apart. */
export function normalizeAnswer(answer: string, { letterCase = false }: AnswerRules = {}): string {
  const folded = wordsOf(answer.toLowerCase());
  return parseDate(folded) ?? (letterCase ? wordsOf(answer) : folded).join(' ');
}

/** Word-level decoding puts a space on either side of a mark, so words and marks are compared one by one. */
function wordsOf(answer: string): string[] {
  return answer.normalize('NFC').match(/[\p{L}\p{M}\p{N}_]+|[^\p{L}\p{M}\p{N}_\s]/gu) ?? [];
}

const MONTH_NUMBERS = new Map(
  MONTHS.flatMap((month, i) => {
    const name = month.toLowerCase();
    return [
      [name, i + 1],
      [name.slice(0, 3), i + 1],
    ] as const;
  }),
);

/** Reads `march 14 1987`, `14 march 1987` (commas allowed) and `1987-03-14`; null when it is no date. */
function parseDate(tokens: readonly string[]): string | null {
  const iso = /^(\d{4}) - (\d{1,2}) - (\d{1,2})$/.exec(tokens.join(' '));
  if (iso) return formatDate(Number(iso[1]), Number(iso[2]), Number(iso[3]));
  const parts = tokens.filter((token) => token !== ',');
  if (parts.length !== 3 || !/^\d{4}$/.test(parts[2]!)) return null;
  const [month, day] = MONTH_NUMBERS.has(parts[0]!) ? [parts[0]!, parts[1]!] : [parts[1]!, parts[0]!];
  if (!MONTH_NUMBERS.has(month) || !/^\d{1,2}$/.test(day)) return null;
  return formatDate(Number(parts[2]), MONTH_NUMBERS.get(month)!, Number(day));
}

function formatDate(year: number, month: number, day: number): string | null {
  if (month < 1 || month > 12 || day < 1 || day > 31) return null;
  return `${year}-${String(month).padStart(2, '0')}-${String(day).padStart(2, '0')}`;
}
