import { describe, expect, it } from 'vitest';
import { buildWordLevelTokenizer, loadTokenizer, type TokenizerJson } from '../../src/formats/tokenizer.ts';

/** Byte-level, a token a byte: no character of two bytes is one token. */
function bytesTokenizer(): TokenizerJson {
  const printable = (byte: number) => (byte >= 33 && byte <= 126) || (byte >= 161 && byte !== 173);
  let next = 256;
  const letters = Array.from({ length: 256 }, (_, byte) =>
    String.fromCodePoint(printable(byte) ? byte : next++),
  );
  const added = { id: 256, content: '<|endoftext|>', special: true, single_word: false };
  return {
    version: '1.0',
    added_tokens: [{ ...added, lstrip: false, rstrip: false, normalized: false }],
    normalizer: null,
    pre_tokenizer: { type: 'ByteLevel', add_prefix_space: false, trim_offsets: true, use_regex: false },
    decoder: { type: 'ByteLevel', add_prefix_space: false, trim_offsets: true, use_regex: false },
    model: { type: 'BPE', vocab: Object.fromEntries(letters.map((letter, id) => [letter, id])), merges: [] },
  };
}

describe('what tokens add to a text', () => {
  const bytes = loadTokenizer(bytesTokenizer());
  const told = (tokenizer: typeof bytes, ids: readonly number[]) => {
    const spell = tokenizer.spell();
    return ids.map((id) => spell(id));
  };

  it('comes with the token that completes a character', () => {
    expect(told(bytes, bytes.encode('aé🙂b'))).toEqual(['a', '', 'é', '', '', '', '🙂', 'b']);
  });

  it('is the whole text when it is joined, trimmed', () => {
    for (const text of ['  two  spaces ', 'a\n\nb\n', 'naïve — ok', '']) {
      const ids = bytes.encode(text);
      expect(told(bytes, ids).join('')).toBe(text.trim());
    }
  });

  it('leaves out half a character at the end', () => {
    const ids = bytes.encode('a🙂').slice(0, -1);
    expect(told(bytes, ids).join('')).toBe('a');
  });

  it('joins words as their text does, marks too', () => {
    const text = "it 's 14 march , don ' t you know ?";
    const words = loadTokenizer(buildWordLevelTokenizer([text]));
    const ids = words.encode(text);
    expect(told(words, ids).join('')).toBe(words.decode(ids));
    expect(told(words, words.encode('14 march ,'))).toEqual(['14', ' march', ',']);
  });
});
