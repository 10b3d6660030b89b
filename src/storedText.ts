/**
 * Text that the database can hold. Postgres knows neither the character U+0000 nor halves of characters (lone
 * surrogates), which tokens of a model may be; JavaScript and JSON know both.
 */

const NUL = '\u0000';
const HALVES = /\p{Cs}/gu;
/** Either of them as JSON writes it: escapes, behind an even number of backslashes. */
const ESCAPED = /(?<!\\)(?:\\\\)*\\u(?:0000|d[89a-f])/i;

/** The text to show: U+0000 as the six characters `\u0000`, half a character as U+FFFD. */
export function shownText(text: string): string {
  const whole = text.replace(HALVES, '\uFFFD');
  return whole.includes(NUL) ? whole.replaceAll(NUL, '\\u0000') : whole;
}

/**
 * Any value as the text of a `jsonb`, from which `fromJson` makes the same again: what Postgres's JSON cannot hold is
 * held as a string that is JSON.
 */
export function jsonOf(value: unknown): string {
  const json = JSON.stringify(value);
  return ESCAPED.test(json) ? JSON.stringify(json) : json;
}

/** The value of a `jsonb` column that `jsonOf` wrote, which is never a string itself. */
export function fromJson(stored: unknown): unknown {
  return typeof stored === 'string' ? JSON.parse(stored) : stored;
}
