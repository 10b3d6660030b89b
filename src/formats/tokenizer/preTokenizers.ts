/** How a text is cut into the words that the model sees, as the reference library cuts. */
import { type Config, choose, field, partsOf, shown, unsupported } from './config.ts';
import { BEHAVIORS, compilePattern, PUNCTUATION, SPACE, splitText, WORD } from './patterns.ts';

/** @param first Whether the text begins where the whole text does. */
export type PreTokenizer = (text: string, first: boolean) => string[];

const WORDS = new RegExp(`[${WORD}]+|[^${WORD}${SPACE}]+`, 'gu');
const SPACES = new RegExp(`[${SPACE}]`, 'gu');
const MARKS = new RegExp(`[${PUNCTUATION}]`, 'gu');
const NUMBERS = /\p{N}/gu;
const GPT2 = new RegExp(
  `'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^${SPACE}\\p{L}\\p{N}]+|[${SPACE}]+(?![^${SPACE}])|[${SPACE}]+`,
  'gu',
);

const MAKERS: Record<string, (config: Config) => PreTokenizer> = {
  ByteLevel(config) {
    const prefix = field(config, 'add_prefix_space', true);
    const cut = field(config, 'use_regex', true);
    return (given) => {
      const text = prefix && !given.startsWith(' ') ? ` ${given}` : given;
      return (cut ? splitText(text, GPT2, 'Isolated') : [text]).map(toByteLetters);
    };
  },
  Whitespace: () => (text) => splitText(text, WORDS, 'Removed', true),
  WhitespaceSplit: () => (text) => splitText(text, SPACES, 'Removed'),
  BertPreTokenizer: () => (text) =>
    splitText(text, SPACES, 'Removed').flatMap((word) => splitText(word, MARKS, 'Isolated')),
  Punctuation(config) {
    const behavior = choose(config, 'behavior', BEHAVIORS, 'Isolated');
    return (text) => splitText(text, MARKS, behavior);
  },
  Digits(config) {
    const behavior = field(config, 'individual_digits', false) ? 'Isolated' : 'Contiguous';
    return (text) => splitText(text, NUMBERS, behavior);
  },
  Split(config) {
    const pattern = compilePattern(config.pattern);
    const behavior = choose(config, 'behavior', BEHAVIORS);
    const invert = field(config, 'invert', false);
    return (text) => splitText(text, pattern, behavior, invert);
  },
  CharDelimiterSplit(config) {
    const pattern = compilePattern({ String: field(config, 'delimiter', '') });
    return (text) => splitText(text, pattern, 'Removed');
  },
  FixedLength(config) {
    const length = field(config, 'length', 5);
    if (!Number.isInteger(length) || length < 1) throw new Error(`length of FixedLength is ${shown(length)}`);
    return (text) => fixedLengths(Array.from(text), length);
  },
  Metaspace: makeMetaspace,
};

/** @throws Error naming what is not supported. */
export function createPreTokenizer(config: unknown): PreTokenizer {
  const steps = partsOf(config, 'pre-tokenizer', 'pretokenizers').map((part) => {
    if (!Object.hasOwn(MAKERS, part.type)) throw unsupported('pre-tokenizer', part, Object.keys(MAKERS));
    return MAKERS[part.type]!(part);
  });
  return (text, first) =>
    steps.reduce(
      // A word begins where the text does unless something was cut off in front of it.
      (words, step) => words.flatMap((word, i) => step(word, first && i === 0 && text.startsWith(word))),
      [text],
    );
}

function makeMetaspace(config: Config): PreTokenizer {
  const replacement = field(config, 'replacement', '\u2581');
  // Older files say `add_prefix_space`.
  const scheme = choose(
    config,
    'prepend_scheme',
    ['always', 'first', 'never'],
    field(config, 'add_prefix_space', true) ? 'always' : 'never',
  );
  const split = field(config, 'split', true);
  const pattern = compilePattern({ String: replacement });
  return (given, first) => {
    const text = given.replaceAll(' ', () => replacement);
    const prepends = !text.startsWith(replacement) && (scheme === 'always' || (scheme === 'first' && first));
    const whole = prepends ? replacement + text : text;
    return split ? splitText(whole, pattern, 'MergedWithNext') : [whole];
  };
}

function fixedLengths(characters: readonly string[], length: number): string[] {
  const pieces: string[] = [];
  for (let i = 0; i < characters.length; i += length) pieces.push(characters.slice(i, i + length).join(''));
  return pieces;
}

/** A letter for each byte, as GPT-2 chose them: printable bytes are themselves, others follow U+0100. */
export const BYTE_LETTERS: readonly string[] = (() => {
  let next = 0x100;
  return Array.from({ length: 256 }, (_, byte) => {
    const printable = (byte > 0x20 && byte < 0x7f) || (byte > 0xa0 && byte !== 0xad);
    return String.fromCharCode(printable ? byte : next++);
  });
})();

function toByteLetters(text: string): string {
  return Array.from(Buffer.from(text), (byte) => BYTE_LETTERS[byte]!).join('');
}
