/**
 * Word-level tokenizers as Hugging Face `tokenizer.json`, and any such file loaded for use. What is computed is held to
 * the reference library by `test/formats/tokenizer/reference.test.ts`; what is not computed is refused by its name.
 */
import { shownText } from '../storedText.ts';
import type { ChatTemplate } from './chatTemplate.ts';
import { type AddedToken, createSections, readAddedTokens, textOfAdded } from './tokenizer/addedTokens.ts';
import { shown } from './tokenizer/config.ts';
import { cleanUp, createDecoder } from './tokenizer/decoders.ts';
import { createModel } from './tokenizer/models.ts';
import { createNormalizer } from './tokenizer/normalizers.ts';
import { createPreTokenizer } from './tokenizer/preTokenizers.ts';

const PAD = '<pad>';
const EOS = '<eos>';
const UNK = '<unk>';

/** A parsed `tokenizer.json`; the parts that this module reads. */
export interface TokenizerJson {
  version: string;
  added_tokens: { id: number; content: string; special: boolean; [key: string]: unknown }[];
  model: { type: string; vocab: Record<string, number>; unk_token?: string | null; [key: string]: unknown };
  /** The added token that ends a text; not part of the format, which leaves it to `tokenizer_config.json`. */
  eos_token?: string;
  /** How it puts messages; not part of the format, which leaves it to `tokenizer_config.json` and files beside it. */
  chat?: ChatTemplate;
  [key: string]: unknown;
}

/**
 * The text that a token adds to those before it, so that all that is told, joined, is `decode` of all tokens, trimmed. What
 * a token leaves open (half a character, spaces) comes with the token that closes it; after the last one it is left out.
 */
export type Speller = (id: number) => string;

export interface Tokenizer {
  /** Token ids of the text, without any special token added. */
  encode(text: string): number[];
  /**
   * The text of the ids, special tokens left out; answers compare with `sameAnswer`, not by characters. U+0000, which a
   * token may be, is shown as `\\u0000`, half a character as U+FFFD: any text of it can be stored.
   */
  decode(ids: readonly number[]): string;
  /** Tells the text of tokens as they come; see `Speller`. */
  spell(): Speller;
  /** Number of rows the embedding needs: the largest id + 1. */
  dVocab: number;
  padId: number;
  eosId: number;
  /** Stands for what the tokenizer does not know; null where it knows everything, as byte-level ones do. */
  unkId: number | null;
  /** How messages are put to the model; null where its files do not say. */
  chat: ChatTemplate | null;
  /** The special token that the text begins with; null where it begins with none. */
  startsWith(text: string): number | null;
}

/**
 * Builds a word-level tokenizer: lower-cased words and single marks, most frequent first, after `<pad>` (0),
 * `<eos>` (1) and `<unk>` (2). The same texts in any order give the same ids.
 */
export function buildWordLevelTokenizer(texts: Iterable<string>): TokenizerJson {
  const special = [PAD, EOS, UNK];
  const json = tokenizerJson(special, special);
  const normalize = createNormalizer(json.normalizer);
  const split = createPreTokenizer(json.pre_tokenizer);
  const counts = new Map<string, number>();
  for (const text of texts) {
    for (const word of split(normalize(text), true)) counts.set(word, (counts.get(word) ?? 0) + 1);
  }
  for (const token of special) counts.delete(token);
  const words = [...counts].sort(([a, n], [b, m]) => m - n || (a < b ? -1 : 1)).map(([word]) => word);
  return tokenizerJson(special, [...special, ...words]);
}

/**
 * Loads a parsed `tokenizer.json`.
 * @throws Error when it names no end-of-text token, is malformed, or has a part that is not computed here.
 */
export function loadTokenizer(json: unknown): Tokenizer {
  const { eos_token: eosToken, chat = null, ...parts } = (json ?? {}) as Partial<TokenizerJson>;
  const { encode: encodeWord, vocab, unkToken } = createModel(parts.model);
  const added = readAddedTokens(parts.added_tokens);
  checkIds(added, vocab);
  const idOf = (...names: string[]): number | undefined => added.find((t) => names.includes(t.content))?.id;
  const eosId = eosToken === undefined ? idOf(EOS, '<|endoftext|>', '</s>') : idOf(eosToken);
  if (eosId === undefined)
    throw new Error('the tokenizer has no <eos>, <|endoftext|> or </s> among its added tokens');
  const normalize = createNormalizer(parts.normalizer);
  const sections = createSections(added, normalize);
  const split = createPreTokenizer(parts.pre_tokenizer);
  const encode = (text: string) =>
    sections(text).flatMap((section) => {
      if ('id' in section) return [section.id];
      return split(section.text, section.first).flatMap(encodeWord);
    });
  const texts = new Map([...vocab].map(([token, id]) => [id, token]));
  for (const token of added) texts.set(token.id, textOfAdded(token, normalize));
  const special = new Set(added.filter((token) => token.special).map(({ id }) => id));
  const words = parts.model!.type === 'WordLevel';
  const decode = createDecode(texts, special, createDecoder(parts.decoder), words);
  return {
    encode,
    decode,
    spell: () => createSpeller(decode, words ? OPEN_WORD : OPEN_CHARACTER),
    dVocab: [...vocab.values(), ...added.map(({ id }) => id)].reduce((max, id) => Math.max(max, id), -1) + 1,
    padId: idOf(PAD, '[PAD]') ?? eosId,
    eosId,
    unkId: unkToken === null ? null : vocab.get(unkToken)!,
    chat,
    startsWith: (text) =>
      added.find(({ special, content }) => special && text.startsWith(content))?.id ?? null,
  };
}

/** Ends of a text that the next token may still change: half a character; a mark that may join two words. */
const OPEN_CHARACTER = /\uFFFD+$/;
const OPEN_WORD = /\uFFFD+$| '$/;

function createSpeller(decode: Tokenizer['decode'], open: RegExp): Speller {
  const ids: number[] = [];
  let told = '';
  return (id) => {
    ids.push(id);
    const whole = decode(ids).trim().replace(open, '').trimEnd();
    if (!whole.startsWith(told)) return '';
    const piece = whole.slice(told.length);
    told = whole;
    return piece;
  };
}

/** @param words Whether tokens are words, which are joined by spaces, before marks too. */
function createDecode(
  texts: ReadonlyMap<number, string>,
  special: ReadonlySet<number>,
  join: (tokens: string[]) => string,
  words: boolean,
): Tokenizer['decode'] {
  return (ids) => {
    const text = join(ids.flatMap((id) => (special.has(id) ? [] : (texts.get(id) ?? []))));
    return shownText(words ? cleanUp(text) : text);
  };
}

/**
 * The library gives an added token the id of its text in the vocabulary, or else the next that is free, whatever the
 * file says.
 * @throws Error where that makes another token of it.
 */
function checkIds(added: readonly AddedToken[], vocab: ReadonlyMap<string, number>): void {
  const given = new Map<string, number>();
  let next = vocab.size;
  for (const { id, content } of [...added].sort((a, b) => a.id - b.id)) {
    const expected = vocab.get(content) ?? given.get(content) ?? next;
    if (id !== expected)
      throw new Error(
        `its added token ${shown(content)} has the id ${id}, where the library gives it ${expected}`,
      );
    given.set(content, id);
    next = Math.max(next, id + 1);
  }
}

function tokenizerJson(special: readonly string[], words: readonly string[]): TokenizerJson {
  return {
    version: '1.0',
    truncation: null,
    padding: null,
    added_tokens: special.map((content, id) => ({
      id,
      content,
      single_word: false,
      lstrip: false,
      rstrip: false,
      normalized: false,
      special: true,
    })),
    normalizer: { type: 'Sequence', normalizers: [{ type: 'NFC' }, { type: 'Lowercase' }] },
    // `Whitespace` would do, but the JavaScript library reads its \w as ASCII, the Rust one as Unicode.
    pre_tokenizer: {
      type: 'Split',
      pattern: { Regex: '[\\p{L}\\p{M}\\p{N}_]+|[^\\p{L}\\p{M}\\p{N}_\\s]' },
      behavior: 'Removed',
      invert: true,
    },
    post_processor: null,
    decoder: null,
    model: {
      type: 'WordLevel',
      vocab: Object.fromEntries(words.map((word, id) => [word, id])),
      unk_token: UNK,
    },
  };
}
