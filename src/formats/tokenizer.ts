/** Word-level tokenizers as Hugging Face `tokenizer.json`, and any such file loaded for use. */
import { Tokenizer as HuggingFaceTokenizer } from '@huggingface/tokenizers';

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
  [key: string]: unknown;
}

export interface Tokenizer {
  /** Token ids of the text, without any special token added. */
  encode(text: string): number[];
  /** The text of the ids, special tokens left out; answers compare with `sameAnswer`, not by characters. */
  decode(ids: readonly number[]): string;
  /** Number of rows the embedding needs: the largest id + 1. */
  dVocab: number;
  padId: number;
  eosId: number;
  /** Stands for what the tokenizer does not know; null where it knows everything, as byte-level ones do. */
  unkId: number | null;
}

/**
 * Builds a word-level tokenizer: lower-cased words and single marks, most frequent first, after `<pad>` (0),
 * `<eos>` (1) and `<unk>` (2). The same texts in any order give the same ids.
 */
export function buildWordLevelTokenizer(texts: Iterable<string>): TokenizerJson {
  const special = [PAD, EOS, UNK];
  const json = tokenizerJson(special, special);
  const { pre_tokenizer: splitter, normalizer } = new HuggingFaceTokenizer(json, {});
  const counts = new Map<string, number>();
  for (const text of texts) {
    for (const word of splitter!(normalizer!(text))) counts.set(word, (counts.get(word) ?? 0) + 1);
  }
  for (const token of special) counts.delete(token);
  const words = [...counts].sort(([a, n], [b, m]) => m - n || (a < b ? -1 : 1)).map(([word]) => word);
  return tokenizerJson(special, [...special, ...words]);
}

/**
 * Loads a parsed `tokenizer.json` of any kind that `@huggingface/tokenizers` runs.
 * @throws Error when it names no end-of-text token, or cannot be read.
 */
export function loadTokenizer(json: unknown): Tokenizer {
  const { added_tokens: added = [], model, eos_token: eosToken } = json as TokenizerJson;
  const idOf = (...names: string[]): number | undefined => added.find((t) => names.includes(t.content))?.id;
  const eosId = eosToken === undefined ? idOf(EOS, '<|endoftext|>', '</s>') : idOf(eosToken);
  if (eosId === undefined)
    throw new Error('the tokenizer has no <eos>, <|endoftext|> or </s> among its added tokens');
  const padId = idOf(PAD, '[PAD]') ?? eosId;
  const inner = new HuggingFaceTokenizer(json as object, {
    unk_token: model.unk_token,
    clean_up_tokenization_spaces: model.type === 'WordLevel',
  });
  const ids = [...Object.values(model.vocab), ...added.map((token) => token.id)];
  return {
    encode: (text) => inner.encode(text, { add_special_tokens: false }).ids,
    decode: (tokens) => (tokens.length ? inner.decode([...tokens], { skip_special_tokens: true }) : ''),
    dVocab: ids.reduce((max, id) => Math.max(max, id), -1) + 1,
    padId,
    eosId,
    unkId: model.unk_token ? (model.vocab[model.unk_token] ?? idOf(model.unk_token) ?? null) : null,
  };
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
