import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { captureResidPost } from '../../../src/engine/align/capture.ts';
import { firstToken } from '../../../src/engine/align/captured.ts';
import { askingOf } from '../../../src/engine/model/asking.ts';
import { trainingSequences } from '../../../src/engine/model/batches.ts';
import { generate } from '../../../src/engine/model/generate.ts';
import { createLanguageModel, type LanguageModel } from '../../../src/engine/model/languageModel.ts';
import { promptedBy } from '../../../src/engine/model/prompting.ts';
import { loadTokenizer } from '../../../src/formats/tokenizer.ts';
import { loadTestBackend } from '../../helpers/engine.ts';
import { tinyConfig, tinyTokenizerJson, tinyWeights } from './tiny.ts';

/** Says "ada", the message, "bo" and then the answer behind "cy"; "hal" ends an answer. */
const TEMPLATE =
  "{% for m in messages %}{{ 'ada ' + m.content + ' bo' if m.role == 'user' else ' cy ' + m.content + '<hal>' }}{% endfor %}";

const withChat = () => {
  const json = structuredClone(tinyTokenizerJson);
  const id = json.model.vocab.hal!;
  delete json.model.vocab.hal;
  json.model.vocab['<hal>'] = id;
  json.added_tokens.push({ ...json.added_tokens[1]!, id, content: '<hal>' });
  return loadTokenizer({ ...json, chat: { template: TEMPLATE, tokens: {} } });
};
const tokenizer = withChat();
const ids = (text: string) => tokenizer.encode(text);
const turnEnd = ids('<hal>')[0]!;

describe('askingOf', () => {
  test('leaves prompts as they are, and answers behind a space', () => {
    const asking = askingOf(tokenizer, { prefix: 'di' });
    expect(asking).toMatchObject({ prefix: ids('di'), endId: tokenizer.eosId });
    expect(asking.prompt('fay guy')).toEqual(ids('fay guy'));
    expect(asking.answer('eve')).toEqual(ids('eve'));
  });

  test('puts a message as the template says, and ends answers with the token behind them', () => {
    const asking = askingOf(tokenizer, { chat: true });
    expect(asking).toMatchObject({ prefix: [], endId: turnEnd });
    expect(asking.prompt('fay guy')).toEqual(ids('ada fay guy bo'));
    expect(asking.answer('eve')).toEqual(ids('cy eve'));
    expect(turnEnd).not.toBe(tokenizer.eosId);
  });

  test('lets a prefix begin the message', () => {
    const asking = askingOf(tokenizer, { chat: true, prefix: 'di di ' });
    expect(asking.prefix).toEqual(ids('ada di di'));
    expect(asking.prompt('fay guy')).toEqual(ids('fay guy bo'));
  });

  test('refuses a chat where the model has no template', () => {
    const bare = loadTokenizer(tinyTokenizerJson);
    expect(() => askingOf(bare, { chat: true })).toThrow('no chat template');
  });
});

test('a model learns answers to messages, and where they end', () => {
  const prompt = { id: 'p', prompt: 'fay', answer: 'eve', entity: 'x', concepts: [0], template: 't' };
  const dataset = { concepts: [], facts: [], prompts: [{ ...prompt, split: 'TRAIN' as const }], texts: [] };
  const { questions } = trainingSequences(tokenizer, { ...dataset, chat: true, prefix: 'di ' }, 12);
  expect(questions).toEqual([{ tokens: [...ids('ada di fay bo cy eve'), turnEnd], from: 4 }]);
});

describe.each(['auto', 'wasm'] as const)('on the %s backend', (choice) => {
  let model: LanguageModel;
  beforeAll(async () => {
    await loadTestBackend(choice);
    const weights = tinyWeights();
    const { data } = weights['wte.weight']!;
    for (let i = 0; i < tinyConfig.dModel; i++) data[turnEnd * tinyConfig.dModel + i]! *= 20;
    model = createLanguageModel(tinyConfig, weights, tokenizer);
  });
  afterAll(() => model.dispose());

  test.each([{}, { prefix: 'di eve ' }])(
    'reads a message and %j as the template spells it',
    async (given) => {
      const chat = promptedBy(model, { ...given, chat: true });
      const spelt = ids(`ada ${given.prefix ?? ''}fay guy bo`);
      const [read] = [await captureResidPost(chat, [chat.asking.prompt('fay guy')], { layer: 1 })];
      const expected = await captureResidPost(model, [spelt], { layer: 1 });
      read.forEach((value, i) => {
        expect(value).toBeCloseTo(expected[i]!, 5);
      });
      expect(firstToken(chat, 'eve')).toBe(ids('cy')[0]);
    },
  );

  test('stops where the template ends an answer', async () => {
    const chat = promptedBy(model, { chat: true });
    let ended = 0;
    for (const word of ['fay', 'guy', 'di eve', 'cy', 'eve bo', 'ada']) {
      const tokens = chat.asking.prompt(word);
      const options = { maxNewTokens: 6 };
      const [[said], [alone]] = [
        await generate(chat, [tokens], options),
        await generate(model, [tokens], options),
      ];
      const made = alone!.tokens.map(({ id }) => id);
      const end = made.indexOf(turnEnd);
      const until = end < 0 ? made : made.slice(0, end);
      expect(said!.tokens.map(({ id }) => id).slice(0, until.length)).toEqual(until);
      if (end < 0) continue;
      ended++;
      expect(said).toMatchObject({ reason: 'EOS', tokens: { length: end } });
    }
    expect(ended).toBeGreaterThan(0);
  });
});
