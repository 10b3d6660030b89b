/** The tokenizer that a GGUF file describes in its metadata, as Hugging Face's `tokenizer.json`. */
import type { TokenizerJson } from '../tokenizer.ts';
import { type GgufMetadata, refuse } from './file.ts';

/** Kinds of tokens (`llama_token_type`). */
const CONTROL = 3;
const USER_DEFINED = 4;
const BYTE = 6;

/** Special tokens in a GGUF file's words and in those of `tokenizer_config.json`. */
const SPECIAL = {
  ...{ bos: 'bos_token', eos: 'eos_token', unknown: 'unk_token', padding: 'pad_token' },
  ...{ seperator: 'sep_token', cls: 'cls_token', mask: 'mask_token' },
};

/** How text is cut before byte pairs are merged, by `tokenizer.ggml.pre`, in the words of `tokenizer.json`. */
const BYTE_LEVEL = { type: 'ByteLevel', add_prefix_space: false, trim_offsets: true, use_regex: true };
const cut = (pattern: string) => ({
  type: 'Sequence',
  pretokenizers: [
    { type: 'Split', pattern: { Regex: pattern }, behavior: 'Isolated', invert: false },
    { ...BYTE_LEVEL, use_regex: false },
  ],
});
const DIGITS_APART = {
  type: 'Sequence',
  pretokenizers: [{ type: 'Digits', individual_digits: true }, BYTE_LEVEL],
};
const NUMBERS_OF = (digits: string) =>
  `(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}${digits}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+`;
const PRE_TOKENIZERS: Readonly<Record<string, object>> = {
  'gpt-2': BYTE_LEVEL,
  olmo: BYTE_LEVEL,
  smollm: DIGITS_APART,
  'llama-bpe': cut(NUMBERS_OF('{1,3}')),
  qwen2: cut(NUMBERS_OF('')),
};

/**
 * Byte-level BPE (`gpt2`) and SentencePiece's BPE (`llama`).
 * @throws {AppError} INVALID_INPUT naming the key of what is not supported or missing.
 */
export function readGgufTokenizer(metadata: GgufMetadata, label: string): TokenizerJson {
  const tokens = listOf<string>(metadata, 'tokenizer.ggml.tokens', label);
  const types = listOf<number>(metadata, 'tokenizer.ggml.token_type', label);
  if (types.length !== tokens.length)
    throw refuse(label, `tokenizer.ggml.token_type has ${types.length} entries for ${tokens.length} tokens`);
  const kind = metadata['tokenizer.ggml.model'];
  const added_tokens = tokens.flatMap((content, id) =>
    types[id] === CONTROL || types[id] === USER_DEFINED
      ? [
          {
            id,
            content,
            single_word: false,
            lstrip: false,
            rstrip: false,
            normalized: false,
            special: types[id] === CONTROL,
          },
        ]
      : [],
  );
  const eosId = metadata['tokenizer.ggml.eos_token_id'];
  const eos = typeof eosId === 'number' ? { eos_token: tokens[eosId] } : {};
  const common = { version: '1.0', truncation: null, padding: null, added_tokens, ...eos };
  const vocab = Object.fromEntries(tokens.map((token, id) => [token, id]));
  if (kind === 'gpt2') return { ...common, ...byteLevel(metadata, vocab, label) };
  if (kind === 'llama') return { ...common, ...sentencePiece(metadata, { tokens, types, vocab }, label) };
  throw refuse(label, `tokenizer.ggml.model is ${String(kind)}; supported are gpt2 and llama`);
}

/** The chat template and the special tokens that it may name. */
export function readGgufChat(metadata: GgufMetadata) {
  const tokens = metadata['tokenizer.ggml.tokens'] as readonly string[];
  const template = metadata['tokenizer.chat_template'];
  const named = Object.entries(SPECIAL).flatMap(([key, name]) => {
    const token = tokens[Number(metadata[`tokenizer.ggml.${key}_token_id`] ?? -1)];
    return token === undefined ? [] : [[name, token] as const];
  });
  return {
    template: typeof template === 'string' ? template : null,
    settings: Object.fromEntries(named) as Record<string, string>,
  };
}

function byteLevel(metadata: GgufMetadata, vocab: Record<string, number>, label: string) {
  const pre = String(metadata['tokenizer.ggml.pre'] ?? 'default');
  const preTokenizer = PRE_TOKENIZERS[pre];
  if (!preTokenizer)
    throw refuse(
      label,
      `tokenizer.ggml.pre is ${pre}; supported are ${Object.keys(PRE_TOKENIZERS).join(', ')}`,
    );
  return {
    normalizer: pre === 'qwen2' ? { type: 'NFC' } : null,
    pre_tokenizer: preTokenizer,
    post_processor: null,
    decoder: { ...BYTE_LEVEL, add_prefix_space: true },
    model: {
      ...{ type: 'BPE', dropout: null, unk_token: null, continuing_subword_prefix: null },
      ...{
        end_of_word_suffix: null,
        fuse_unk: false,
        byte_fallback: false,
        ignore_merges: pre === 'llama-bpe',
      },
      vocab,
      merges: listOf<string>(metadata, 'tokenizer.ggml.merges', label),
    },
  };
}

interface Pieces {
  tokens: readonly string[];
  types: readonly number[];
  vocab: Readonly<Record<string, number>>;
}

function sentencePiece(metadata: GgufMetadata, pieces: Pieces, label: string) {
  const scores = listOf<number>(metadata, 'tokenizer.ggml.scores', label);
  if (scores.length !== pieces.tokens.length)
    throw refuse(
      label,
      `tokenizer.ggml.scores has ${scores.length} entries for ${pieces.tokens.length} tokens`,
    );
  const prefix = metadata['tokenizer.ggml.add_space_prefix'] !== false;
  const spaces = { type: 'Replace', pattern: { String: ' ' }, content: '▁' };
  const strip = prefix ? [{ type: 'Strip', content: ' ', start: 1, stop: 0 }] : [];
  const unknownId = metadata['tokenizer.ggml.unknown_token_id'];
  return {
    normalizer: prefix
      ? { type: 'Sequence', normalizers: [{ type: 'Prepend', prepend: '▁' }, spaces] }
      : spaces,
    pre_tokenizer: null,
    post_processor: null,
    decoder: {
      type: 'Sequence',
      decoders: [
        { type: 'Replace', pattern: { String: '▁' }, content: ' ' },
        { type: 'ByteFallback' },
        { type: 'Fuse' },
        ...strip,
      ],
    },
    model: {
      ...{ type: 'BPE', dropout: null, continuing_subword_prefix: null, end_of_word_suffix: null },
      unk_token: typeof unknownId === 'number' ? pieces.tokens[unknownId] : null,
      ...{ fuse_unk: true, byte_fallback: true, ignore_merges: false },
      vocab: pieces.vocab,
      merges: mergesOf(pieces, scores),
    },
  };
}

/**
 * The merges that SentencePiece's scores stand for, as transformers makes them: every way to cut a piece into two others,
 * pieces of the highest score first, and among the ways of one piece those of the earliest parts.
 */
function mergesOf({ tokens, types, vocab }: Pieces, scores: readonly number[]): [string, string][] {
  const ids = tokens.map((_, id) => id).filter((id) => types[id] !== BYTE && types[id] !== CONTROL);
  ids.sort((a, b) => scores[b]! - scores[a]! || a - b);
  return ids.flatMap((id) => {
    const letters = [...tokens[id]!];
    const ways: [string, string][] = [];
    for (let at = 1; at < letters.length; at++) {
      const [left, right] = [letters.slice(0, at).join(''), letters.slice(at).join('')];
      if (Object.hasOwn(vocab, left) && Object.hasOwn(vocab, right)) ways.push([left, right]);
    }
    return ways.sort((a, b) => vocab[a[0]]! - vocab[b[0]]! || vocab[a[1]]! - vocab[b[1]]!);
  });
}

function listOf<T extends string | number>(metadata: GgufMetadata, key: string, label: string): T[] {
  const value = metadata[key];
  if (Array.isArray(value) && value.length > 0) return value as T[];
  throw refuse(label, `${key} is missing`);
}
