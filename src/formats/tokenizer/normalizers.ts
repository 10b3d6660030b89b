/** What is done to a text before it is cut, as the reference library does it. */
import { type Config, field, partsOf, unsupported } from './config.ts';
import { compilePattern, SPACE } from './patterns.ts';

export type Normalizer = (text: string) => string;

const START_SPACE = new RegExp(`^[${SPACE}]+`, 'u');
const END_SPACE = new RegExp(`[${SPACE}]+$`, 'u');
const ANY_SPACE = new RegExp(`[${SPACE}]`, 'gu');
/** Tabs and line ends count as space, not as control characters. */
const NOT_CLEAN = /(?![\t\n\r])[\0\p{Cc}\p{Cf}\p{Co}\uFFFD]/gu;
/** The blocks of ideographs that BERT's code names. */
const IDEOGRAPHS =
  /[\u{4E00}-\u{9FFF}\u{3400}-\u{4DBF}\u{20000}-\u{2A6DF}\u{2A700}-\u{2B73F}\u{2B740}-\u{2B81F}\u{2B920}-\u{2CEAF}\u{F900}-\u{FAFF}\u{2F800}-\u{2FA1F}]/gu;

const MAKERS: Record<string, (config: Config) => Normalizer> = {
  NFC: () => (text) => text.normalize('NFC'),
  NFD: () => (text) => text.normalize('NFD'),
  NFKC: () => (text) => text.normalize('NFKC'),
  NFKD: () => (text) => text.normalize('NFKD'),
  Lowercase: () => lowerCase,
  Strip(config) {
    const [left, right] = [field(config, 'strip_left', true), field(config, 'strip_right', true)];
    return (text) => {
      const rest = left ? text.replace(START_SPACE, '') : text;
      return right ? rest.replace(END_SPACE, '') : rest;
    };
  },
  StripAccents: () => (text) => text.replace(/\p{M}/gu, ''),
  Replace(config) {
    const [pattern, content] = [compilePattern(config.pattern), field(config, 'content', '')];
    return (text) => text.replace(pattern, () => content);
  },
  Prepend(config) {
    const prefix = field(config, 'prepend', '');
    return (text) => (text === '' ? '' : prefix + text);
  },
  BertNormalizer: makeBert,
};

/** @throws Error naming what is not supported. */
export function createNormalizer(config: unknown): Normalizer {
  const steps = partsOf(config, 'normalizer', 'normalizers').map((part) => {
    if (!Object.hasOwn(MAKERS, part.type)) throw unsupported('normalizer', part, Object.keys(MAKERS));
    return MAKERS[part.type]!(part);
  });
  return (text) => steps.reduce((normalized, step) => step(normalized), text);
}

/** Character by character: a sigma that ends a word is lower-cased as any other. */
function lowerCase(text: string): string {
  let lower = '';
  for (const character of text) lower += character.toLowerCase();
  return lower;
}

function makeBert(config: Config): Normalizer {
  const lowercase = field(config, 'lowercase', true);
  const stripAccents = field(config, 'strip_accents', lowercase);
  const cleanText = field(config, 'clean_text', true);
  const apart = field(config, 'handle_chinese_chars', true);
  return (given) => {
    let text = given;
    if (cleanText) text = text.replace(NOT_CLEAN, '').replace(ANY_SPACE, ' ');
    if (apart) text = text.replace(IDEOGRAPHS, ' $& ');
    if (stripAccents) text = text.normalize('NFD').replace(/\p{Mn}/gu, '');
    return lowercase ? lowerCase(text) : text;
  };
}
