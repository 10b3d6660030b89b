/** Tokens that are found in a text before anything else is done to it, as the reference library finds them. */
import { shown } from './config.ts';
import type { Normalizer } from './normalizers.ts';
import { SPACE, WORD } from './patterns.ts';

export interface AddedToken {
  id: number;
  content: string;
  /** Taken only where no letter touches it. */
  single_word?: boolean;
  /** Takes the space before it along. */
  lstrip?: boolean;
  /** Takes the space behind it along. */
  rstrip?: boolean;
  /** Found in the normalized text, by its own normalized form. */
  normalized?: boolean;
  /** Left out when text is made of tokens. */
  special?: boolean;
}

/** Part of a text: a token that was found, or text in which there is none. */
export type Section = { id: number } | { text: string; first: boolean };

const WORD_BEFORE = new RegExp(`[${WORD}]$`, 'u');
const WORD_BEHIND = new RegExp(`^[${WORD}]`, 'u');
const SPACE_BEFORE = new RegExp(`[${SPACE}]*$`, 'u');
const SPACE_BEHIND = new RegExp(`^[${SPACE}]*`, 'u');

/** @throws Error for a token that is not one. */
export function readAddedTokens(value: unknown): AddedToken[] {
  if (value === null || value === undefined) return [];
  if (!Array.isArray(value)) throw new Error('its added_tokens is not a list');
  return value.map((token: unknown) => {
    const { id, content } = (token ?? {}) as { id?: unknown; content?: unknown };
    if (typeof content === 'string' && Number.isSafeInteger(id) && (id as number) >= 0)
      return token as AddedToken;
    throw new Error(`an added token is ${shown(token)}; accepted are those with a whole id and a content`);
  });
}

const isNormalized = ({ normalized, special }: AddedToken) => normalized ?? !special;

/** The text that stands for the token: what is found in normalized text is told so. */
export function textOfAdded(token: AddedToken, normalize: Normalizer): string {
  return isNormalized(token) ? normalize(token.content) : token.content;
}

/** Cuts a text at the added tokens and normalizes what lies between. */
export function createSections(
  added: readonly AddedToken[],
  normalize: Normalizer,
): (text: string) => Section[] {
  const raw = new Finder(
    added.filter((token) => !isNormalized(token)).map((token) => [token.content, token]),
  );
  const late = new Finder(added.filter(isNormalized).map((token) => [textOfAdded(token, normalize), token]));
  return (text) =>
    raw.cut(text, true).flatMap((section) => {
      if ('id' in section) return [section];
      return late.cut(normalize(section.text), section.first);
    });
}

/** Finds the longest of the tokens that begin leftmost. */
class Finder {
  readonly #byText = new Map<string, AddedToken>();
  /** Null where there is nothing to find. */
  readonly #pattern: RegExp | null;

  constructor(tokens: readonly (readonly [string, AddedToken])[]) {
    for (const [text, token] of tokens) if (text !== '') this.#byText.set(text, token);
    const texts = [...this.#byText.keys()].sort((a, b) => b.length - a.length);
    const source = texts.map((text) => text.replace(/[.*+?^${}()|[\]\\/-]/g, '\\$&')).join('|');
    this.#pattern = source === '' ? null : new RegExp(source, 'gu');
  }

  cut(text: string, first: boolean): Section[] {
    const sections: Section[] = [];
    let at = 0;
    const upTo = (end: number) => {
      if (end > at) sections.push({ text: text.slice(at, end), first: first && at === 0 });
    };
    for (const { 0: match, index } of this.#pattern ? text.matchAll(this.#pattern) : []) {
      const { id, single_word: single, lstrip, rstrip } = this.#byText.get(match)!;
      let [start, end] = [index, index + match.length];
      if (single && (WORD_BEFORE.test(text.slice(0, start)) || WORD_BEHIND.test(text.slice(end)))) continue;
      if (lstrip) start = Math.max(at, start - SPACE_BEFORE.exec(text.slice(at, start))![0].length);
      if (rstrip) end += SPACE_BEHIND.exec(text.slice(end))![0].length;
      upTo(start);
      sections.push({ id });
      at = end;
    }
    upTo(text.length);
    return sections;
  }
}
