/** Tokenizers as the reference library computes them (`test/fixtures/tokenizers/make.py`), computed here. */
import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { cleanUp } from '../../../src/formats/tokenizer/decoders.ts';
import { loadTokenizer } from '../../../src/formats/tokenizer.ts';
import { shownText } from '../../../src/storedText.ts';

interface Reference {
  name: string;
  tokenizer: { model: { type: string } };
  /** `each` is the text of each of the first ids alone. */
  cases: { text: string; ids: number[]; decoded: string; each: string[] }[];
}

const references: Reference[] = JSON.parse(
  readFileSync(new URL('../../fixtures/tokenizers/cases.json', import.meta.url), 'utf8'),
);

describe.each(references)('$name', ({ tokenizer, cases }) => {
  const { encode, decode } = loadTokenizer(tokenizer);
  // Words are told as transformers tells them, without spaces before marks.
  const told = (text: string) => shownText(tokenizer.model.type === 'WordLevel' ? cleanUp(text) : text);

  test('gives the ids of the reference', () => {
    for (const { text, ids } of cases) expect(encode(text), JSON.stringify(text)).toEqual(ids);
  });

  test('gives the texts of the reference', () => {
    for (const { text, ids, decoded, each } of cases) {
      expect(decode(ids), JSON.stringify(text)).toBe(told(decoded));
      expect(ids.slice(0, each.length).map((id) => decode([id]))).toEqual(each.map(told));
    }
  });
});
