/** How tokenizers cut texts: at matches of a pattern, which go, stay alone or join a neighbour. */
import { Tokenizer } from '@huggingface/tokenizers';

/** Finds all matches in a text; an expression with the flag `g`. */
export type Pattern = RegExp;

export const BEHAVIORS = [
  'Removed',
  'Isolated',
  'MergedWithPrevious',
  'MergedWithNext',
  'Contiguous',
] as const;
export type Behavior = (typeof BEHAVIORS)[number];

/** Insides of a character class, as the Rust crates of the reference define them. */
export const WORD = '\\p{Alphabetic}\\p{M}\\p{Nd}\\p{Pc}\\u200C\\u200D';
export const SPACE = '\\p{White_Space}';
/** All punctuation, and what ASCII counts as such. */
export const PUNCTUATION = '\\p{P}!-/:-@\\[-`{-~';

/** A run of the text, and whether the pattern matched it. */
interface Piece {
  text: string;
  matched: boolean;
}

/** @throws Error for an expression that JavaScript cannot be made to understand. */
export function compilePattern(pattern: unknown): Pattern {
  const { String: text, Regex: source } = (pattern ?? {}) as { String?: unknown; Regex?: unknown };
  if (typeof text === 'string') return new RegExp(text.replace(/[.*+?^${}()|[\]\\/-]/g, '\\$&'), 'gu');
  if (typeof source !== 'string') throw new Error('a pattern is neither String nor Regex');
  try {
    // The library translates Oniguruma's expressions; how it splits is not the reference's way, and not used.
    const { pre_tokenizer: split } = new Tokenizer(
      { ...NOTHING, pre_tokenizer: { type: 'Split', pattern } },
      {},
    );
    return split.pattern;
  } catch (cause) {
    throw new Error(`the expression ${source.slice(0, 200)} is not understood: ${(cause as Error).message}`);
  }
}

/** As much of a tokenizer as the library asks for. */
const NOTHING = {
  model: { type: 'WordLevel', vocab: {} },
  ...{ added_tokens: [], normalizer: null, post_processor: null, decoder: null },
};

/** The text in pieces without empty ones, as the reference's `NormalizedString::split` makes them. */
export function splitText(text: string, pattern: Pattern, behavior: Behavior, invert = false): string[] {
  const pieces = findPieces(text, pattern);
  if (invert) for (const piece of pieces) piece.matched = !piece.matched;
  return JOIN[behavior](pieces).filter((piece) => piece !== '');
}

function findPieces(text: string, pattern: Pattern): Piece[] {
  const pieces: Piece[] = [];
  let at = 0;
  for (const { 0: match, index } of text.matchAll(pattern)) {
    if (index > at) pieces.push({ text: text.slice(at, index), matched: false });
    pieces.push({ text: match, matched: true });
    at = index + match.length;
  }
  if (at < text.length) pieces.push({ text: text.slice(at), matched: false });
  return pieces;
}

const JOIN: Record<Behavior, (pieces: Piece[]) => string[]> = {
  Removed: (pieces) => pieces.filter(({ matched }) => !matched).map(({ text }) => text),
  Isolated: (pieces) => pieces.map(({ text }) => text),
  Contiguous: (pieces) => join(pieces, (piece, before) => piece.matched === before.matched),
  MergedWithPrevious: (pieces) => join(pieces, (piece, before) => piece.matched && !before.matched),
  MergedWithNext: (pieces) => join(pieces, (piece, before) => !piece.matched && before.matched),
};

/** Joins each piece to the one before it where `joins` says so. */
function join(pieces: Piece[], joins: (piece: Piece, before: Piece) => boolean): string[] {
  const joined: string[] = [];
  pieces.forEach((piece, i) => {
    const before = pieces[i - 1];
    if (before && joins(piece, before)) joined[joined.length - 1] += piece.text;
    else joined.push(piece.text);
  });
  return joined;
}
