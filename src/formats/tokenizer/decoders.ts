/** How tokens become text again, as the reference library makes it. */
import { type Config, choose, field, partsOf, unsupported } from './config.ts';
import { compilePattern } from './patterns.ts';
import { BYTE_LETTERS } from './preTokenizers.ts';

/** Tokens as the pieces of text that they stand for. */
type Decoder = (tokens: string[]) => string[];

const BYTES = new Map(BYTE_LETTERS.map((letter, byte) => [letter, byte]));
const BYTE_TOKEN = /^<0x([0-9A-Fa-f]{2})>$/;

const MAKERS: Record<string, (config: Config) => Decoder> = {
  ByteLevel: () => (tokens) => [textOf(tokens.flatMap(bytesOfToken))],
  WordPiece(config) {
    const [prefix, tidy] = [field(config, 'prefix', '##'), field(config, 'cleanup', true)];
    const join = (token: string, i: number) => {
      if (i === 0) return token;
      return token.startsWith(prefix) ? token.slice(prefix.length) : ` ${token}`;
    };
    return (tokens) => tokens.map((token, i) => (tidy ? cleanUp(join(token, i)) : join(token, i)));
  },
  BPEDecoder(config) {
    const suffix = field(config, 'suffix', '</w>');
    return (tokens) =>
      tokens.map((token, i) => token.replaceAll(suffix, () => (i === tokens.length - 1 ? '' : ' ')));
  },
  Metaspace(config) {
    const replacement = field(config, 'replacement', '\u2581');
    const fallback = field(config, 'add_prefix_space', true) ? 'always' : 'never';
    const scheme = choose(config, 'prepend_scheme', ['always', 'first', 'never'], fallback);
    return (tokens) =>
      tokens.map((token, i) => token.replaceAll(replacement, i === 0 && scheme !== 'never' ? '' : ' '));
  },
  ByteFallback: () => joinBytes,
  Fuse: () => (tokens) => [tokens.join('')],
  Replace(config) {
    const [pattern, content] = [compilePattern(config.pattern), field(config, 'content', '')];
    return (tokens) => tokens.map((token) => token.replace(pattern, () => content));
  },
  Strip(config) {
    const [content, start, stop] = [
      field(config, 'content', ' '),
      field(config, 'start', 0),
      field(config, 'stop', 0),
    ];
    return (tokens) => tokens.map((token) => strip(token, content, start, stop));
  },
};

/** Text of tokens; without a decoder they are joined by spaces. @throws Error naming what is not supported. */
export function createDecoder(config: unknown): (tokens: string[]) => string {
  const steps = partsOf(config, 'decoder', 'decoders').map((part) => {
    if (!Object.hasOwn(MAKERS, part.type)) throw unsupported('decoder', part, Object.keys(MAKERS));
    return MAKERS[part.type]!(part);
  });
  if (steps.length === 0) return (tokens) => tokens.join(' ');
  return (tokens) => steps.reduce((pieces, step) => step(pieces), tokens).join('');
}

/** Spaces before marks and within contractions taken out, as transformers does. */
export function cleanUp(text: string): string {
  return text
    .replaceAll(' .', '.')
    .replaceAll(' ?', '?')
    .replaceAll(' !', '!')
    .replaceAll(' ,', ',')
    .replaceAll(" ' ", "'")
    .replaceAll(" n't", "n't")
    .replaceAll(" 'm", "'m")
    .replaceAll(" 's", "'s")
    .replaceAll(" 've", "'ve")
    .replaceAll(" 're", "'re");
}

/** A token with any other letter stands for itself. */
function bytesOfToken(token: string): number[] {
  const bytes = Array.from(token, (letter) => BYTES.get(letter));
  return bytes.every((byte) => byte !== undefined) ? bytes : [...Buffer.from(token)];
}

function textOf(bytes: readonly number[]): string {
  return new TextDecoder('utf-8', { ignoreBOM: true }).decode(Uint8Array.from(bytes));
}

/** Runs of tokens such as `<0xE2>` as the text of those bytes; a mark for each byte where they are none. */
function joinBytes(tokens: string[]): string[] {
  const pieces: string[] = [];
  let bytes: number[] = [];
  const flush = () => {
    if (bytes.length === 0) return;
    try {
      const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
      pieces.push(decoder.decode(Uint8Array.from(bytes)));
    } catch {
      for (const _ of bytes) pieces.push('\uFFFD');
    }
    bytes = [];
  };
  for (const token of tokens) {
    const hex = BYTE_TOKEN.exec(token)?.[1];
    if (hex !== undefined) bytes.push(Number.parseInt(hex, 16));
    else {
      flush();
      pieces.push(token);
    }
  }
  flush();
  return pieces;
}

/** At most so many of this character from either end. */
function strip(token: string, content: string, start: number, stop: number): string {
  const characters = Array.from(token);
  let [from, to] = [0, characters.length];
  while (from < start && characters[from] === content) from += 1;
  while (characters.length - to < stop && to > from && characters[to - 1] === content) to -= 1;
  return characters.slice(from, to).join('');
}
