import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { buildWordLevelTokenizer, loadTokenizer } from '../../src/formats/tokenizer.ts';
import { textsOfTokens } from '../../src/formats/tokenTexts.ts';

interface Fixture {
  name: string;
  tokenizer: object;
  cases: { text: string; ids: number[] }[];
}
const fixtures: Fixture[] = JSON.parse(
  readFileSync(new URL('../fixtures/tokenizers/cases.json', import.meta.url), 'utf8'),
);

describe('the texts of tokens', () => {
  const words = loadTokenizer(buildWordLevelTokenizer(['when was ada born , bo ?']));
  const textsOf = (text: string) => textsOfTokens(words, text, words.encode(text));

  it('keep the case and the white space of the text', () => {
    expect(textsOf(' When  was Ada\nborn? ')).toEqual([' When', '  was', ' Ada', '\nborn', '? ']);
  });

  it('are the words that a tokenizer does not know, too', () => {
    expect(textsOf('was badab bo, ŻÓŁĆ bo')).toEqual(['was', ' badab', ' bo', ',', ' ŻÓŁĆ', ' bo']);
  });

  it('of a word that is spelt otherwise go with the next, not with the same word further on', () => {
    const tokenizer = loadTokenizer(buildWordLevelTokenizer(['café was']));
    const text = 'cafe\u0301 was café';
    const texts = textsOfTokens(tokenizer, text, tokenizer.encode(text));
    expect(texts).toEqual(['', 'cafe\u0301 was', ' café']);
  });

  it.each(fixtures.map(({ name, tokenizer, cases }) => [name, { tokenizer, cases }] as const))(
    'are the text when they are joined: %s',
    (_name, { tokenizer: json, cases }) => {
      const tokenizer = loadTokenizer(json);
      for (const { text, ids } of cases.filter((each) => each.ids.length > 0)) {
        const texts = textsOfTokens(tokenizer, text, ids);
        expect(texts).toHaveLength(ids.length);
        expect(texts.join('')).toBe(text);
      }
    },
  );

  it('of byte-level tokens are what each spells, a character with the token that completes it', () => {
    const { tokenizer: json } = fixtures.find(({ tokenizer }) =>
      JSON.stringify(tokenizer).includes('ByteLevel'),
    )!;
    const tokenizer = loadTokenizer(json);
    const text = 'was is 🙂 z';
    const ids = tokenizer.encode(text);
    const texts = textsOfTokens(tokenizer, text, ids);
    expect(texts.slice(-4)).toEqual(['', '', ' 🙂', ' z']);
    expect(texts.join('')).toBe(text);
  });
});
