import { describe, expect, it } from 'vitest';
import { sameAnswer } from '../../src/data/answers.ts';
import { generateBiographies } from '../../src/data/biography.ts';
import { isQuestion } from '../../src/engine/contract/dataset.ts';
import { buildWordLevelTokenizer, loadTokenizer } from '../../src/formats/tokenizer.ts';

const { texts, ...generated } = generateBiographies({ people: 30, seed: 0 });
const prompts = generated.prompts.filter(isQuestion);
const corpus = [...prompts.flatMap((p) => [p.prompt, p.answer]), ...texts.map((t) => t.text)];
const json = buildWordLevelTokenizer(corpus);
const tokenizer = loadTokenizer(json);

describe('word-level tokenizer', () => {
  it('gives ids from 0 without a gap, specials first', () => {
    const ids = Object.values(json.model.vocab).sort((a, b) => a - b);
    expect(ids).toEqual(ids.map((_, i) => i));
    expect(tokenizer.dVocab).toBe(ids.length);
    expect([tokenizer.padId, tokenizer.eosId, json.model.vocab['<unk>']]).toEqual([0, 1, 2]);
  });

  it('does not depend on the order of the texts', () => {
    expect(buildWordLevelTokenizer([...corpus].reverse())).toEqual(json);
  });

  it('survives JSON', () => {
    const again = loadTokenizer(JSON.parse(JSON.stringify(json)));
    for (const text of corpus.slice(0, 50)) expect(again.encode(text)).toEqual(tokenizer.encode(text));
  });

  it('knows every word of its corpus and brings answers back', () => {
    for (const text of corpus) expect(tokenizer.encode(text)).not.toContain(2);
    for (const { answer } of prompts) {
      expect(sameAnswer(tokenizer.decode([...tokenizer.encode(answer), tokenizer.eosId]), answer)).toBe(true);
    }
  });

  it('reads a prompt and its answer as it reads them joined by a space', () => {
    for (const { prompt, answer } of prompts.slice(0, 200)) {
      const apart = [...tokenizer.encode(prompt), ...tokenizer.encode(` ${answer}`)];
      expect(tokenizer.encode(`${prompt} ${answer}`)).toEqual(apart);
    }
  });

  it('ends every question with the last token of the name', () => {
    for (const { prompt, entity } of prompts.slice(0, 200))
      expect(tokenizer.encode(prompt).at(-1)).toBe(tokenizer.encode(entity).at(-1));
  });

  it('folds case, splits marks from words in any script, and knows no other words', () => {
    const { encode, decode } = loadTokenizer(buildWordLevelTokenizer(["Zoë's naïve plan (São Paulo)."]));
    expect(decode(encode("ZOE\u0308'S NAÏVE plan"))).toBe("zoë's naïve plan");
    expect(encode('são paulo')).toHaveLength(2);
    expect(encode('rome')).toEqual([2]);
    expect(encode('')).toEqual([]);
    expect(decode([])).toBe('');
  });

  it('keeps words that are also names of object properties', () => {
    const { encode, decode } = loadTokenizer(buildWordLevelTokenizer(['the constructor of __proto__']));
    expect(decode(encode('the constructor of __proto__'))).toBe('the constructor of __proto__');
  });

  it('refuses a file without an end-of-text token', () => {
    expect(() => loadTokenizer({ ...json, added_tokens: [] })).toThrow(/<eos>/);
  });
});

describe('a tokenizer from elsewhere', () => {
  const { model, ...rest } = json;
  const withModel = (changes: Record<string, unknown>) => ({ ...rest, model: { ...model, ...changes } });

  it('may know tokens that no database can hold, and shows them', () => {
    const vocab = { ...model.vocab, '\u0000': json.added_tokens.length + 5000, 'half\ud800': 6000 };
    const { encode, decode } = loadTokenizer(JSON.parse(JSON.stringify(withModel({ vocab }))));
    expect(decode([json.added_tokens.length + 5000, 6000])).toBe('\\u0000 half\ufffd');
    expect(encode('rome')).toEqual([2]);
  });

  it.each([
    ['no object', null, /its model is not an object/],
    ['no model', { ...json, model: undefined }, /its model is not an object with a type/],
    [
      'a model of another kind',
      withModel({ type: 'Unigram' }),
      /"Unigram" is not supported; supported are BPE/,
    ],
    [
      'a vocabulary that is a list',
      withModel({ vocab: [['a', 0]] }),
      /vocabulary of its WordLevel model is \[\[/,
    ],
    ['ids that are no numbers', withModel({ vocab: { a: 'b' } }), /id of its token "a" is "b"/],
    [
      'an unknown token that is unknown',
      withModel({ unk_token: '[UNK]' }),
      /"\[UNK\]" is not in its vocabulary/,
    ],
    [
      'added tokens that are none',
      { ...json, added_tokens: [{ id: '1' }] },
      /an added token is \{"id":"1"\}/,
    ],
    [
      'an added token in the place of another',
      { ...json, added_tokens: [...json.added_tokens, { id: 3, content: '<new>', special: true }] },
      /added token "<new>" has the id 3, where the library gives it \d+/,
    ],
    [
      'another pre-tokenizer',
      { ...json, pre_tokenizer: { type: 'UnicodeScripts' } },
      /pre-tokenizer "UnicodeScr/,
    ],
    [
      'another normalizer',
      { ...json, normalizer: { type: 'Precompiled' } },
      /normalizer "Precompiled" is not/,
    ],
    [
      'another decoder',
      { ...json, decoder: { type: 'CTC' } },
      /decoder "CTC" is not supported; supported are/,
    ],
    [
      'a normalizer by a name of objects',
      { ...json, normalizer: { type: 'constructor' } },
      /"constructor" is not/,
    ],
    [
      'an expression that is none',
      { ...json, pre_tokenizer: { type: 'Split', pattern: { Regex: '(' }, behavior: 'Isolated' } },
      /the expression \( is not understood/,
    ],
    [
      'merges of what is not there',
      { ...rest, model: { type: 'BPE', vocab: { a: 0 }, merges: ['a b'] } },
      /merge 0 of its BPE model names "b"/,
    ],
    [
      'random tokens',
      { ...rest, model: { type: 'BPE', vocab: {}, merges: [], dropout: 0.1 } },
      /has dropout/,
    ],
  ])('is refused by name: %s', (_, given, reason) => {
    expect(() => loadTokenizer(given)).toThrow(reason);
  });
});
