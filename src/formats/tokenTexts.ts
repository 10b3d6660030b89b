/** Which part of a text each of its tokens stands for. */
import type { Tokenizer } from './tokenizer.ts';

/** What a word-level tokenizer may have no token for. */
const WORD = /\s*(?:[\p{L}\p{M}\p{N}_]+|\S)/uy;
const HALF = '\uFFFD';

/**
 * One part a token, in order; joined they are the text. White space goes with the token behind it. Where several tokens
 * make a character, it goes with the last of them, and where the text spells a token otherwise (a tokenizer may normalise),
 * its part goes with the next that is found; such a token has no text.
 */
export function textsOfTokens(tokenizer: Tokenizer, text: string, ids: readonly number[]): string[] {
  const folded = text.toLowerCase();
  const [haystack, fold] =
    folded.length === text.length
      ? [folded, (piece: string) => piece.toLowerCase()]
      : [text, (piece: string) => piece];
  let at = 0;
  let open: number[] = [];
  let isLost = false;
  const ends = ids.map((id) => {
    const piece = fold(tokenizer.decode([...open, id]));
    const end = id === tokenizer.unkId ? endOfWord(text, at) : endOfPiece(haystack, at, piece, isLost);
    open = end === null && piece.endsWith(HALF) ? [...open, id] : [];
    isLost = end === null && (isLost || open.length === 0);
    at = end ?? at;
    return end;
  });
  return slices(text, ends);
}

/** Which token of a text is the first beyond `most`, in words. */
export function firstTooMany(
  tokenizer: Tokenizer,
  text: string,
  ids: readonly number[],
  most: number,
): string {
  const texts = textsOfTokens(tokenizer, text, ids);
  const place = texts.slice(0, most).join('').length;
  return `token ${most}, counted from 0, "${texts[most]}" at character ${place}, is the first too many`;
}

function endOfWord(text: string, at: number): number | null {
  WORD.lastIndex = at;
  return WORD.test(text) ? WORD.lastIndex : null;
}

/** Where the piece ends, behind white space or, where something before it was lost, wherever it comes first. */
function endOfPiece(text: string, at: number, piece: string, isLost: boolean): number | null {
  if (piece.endsWith(HALF)) return null;
  if (piece !== '' && text.startsWith(piece, at)) return at + piece.length;
  const word = piece.trim();
  const found = word === '' ? -1 : text.indexOf(word, at);
  const isNext = found >= 0 && (isLost || text.slice(at, found).trim() === '');
  return isNext ? found + word.length : null;
}

/** A token without an end of its own has no text, except the last, which has the rest. */
function slices(text: string, ends: readonly (number | null)[]): string[] {
  let from = 0;
  return ends.map((end, i) => {
    const to = i === ends.length - 1 ? text.length : (end ?? from);
    const part = text.slice(from, to);
    from = to;
    return part;
  });
}
