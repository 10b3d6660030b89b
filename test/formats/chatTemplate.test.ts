import { readFile } from 'node:fs/promises';
import { describe, expect, test } from 'vitest';
import { type ChatTemplate, MAX_TEMPLATE, openChat } from '../../src/formats/chatTemplate.ts';
import { readGgufChat } from '../../src/formats/gguf/tokenizer.ts';
import { describeTokenizer, readTokenizer } from '../../src/formats/huggingFace/tokenizer.ts';
import { buildWordLevelTokenizer } from '../../src/formats/tokenizer.ts';

interface Fixture extends ChatTemplate {
  name: string;
  said: { message: string; asked: string; answered: string }[];
}

const fixtures: Fixture[] = JSON.parse(
  await readFile(new URL('../fixtures/chats/chats.json', import.meta.url), 'utf8'),
);

describe.each(fixtures)('the template of $name', ({ template, tokens, said }) => {
  const chat = openChat({ template, tokens });

  test.each(said)('says of $message what transformers says', ({ message, asked, answered }) => {
    expect(chat.ask(message)).toBe(asked);
    expect(`${chat.ask(message)}${chat.gap}It is Paris.${chat.end}`).toBe(answered);
  });

  test('states a beginning that messages share before what differs', () => {
    const { before, after } = chat.around('One is two.\n');
    expect(`${before}Two is${after}`).toBe(chat.ask('One is two.\nTwo is'));
  });
});

test('knows what an answer ends in', () => {
  const ends = fixtures.map(({ name, ...given }) => [name, openChat(given).end.trim()]);
  expect(Object.fromEntries(ends)).toEqual({
    ...{ smollm2: '<|im_end|>', 'llama-3': '<|eot_id|>', qwen3: '<|im_end|>', gemma: '<end_of_turn>' },
    ...{ 'llama-2': '</s>', zephyr: '</s>', granite: '<|end_of_text|>' },
  });
});

const MESSAGE = '{{ messages[0].content }}';
test.each([
  ['no template at all', null, 'has no chat template'],
  ['one that is cut off', `${MESSAGE}{% if`, 'cannot be used'],
  ['one that refuses', `{{ raise_exception('only in threes') }}`, 'only in threes'],
  ['one that needs what nobody tells', `{{ nobody.knows() }}`, 'cannot be used'],
  [
    'one without end',
    `{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}`,
    'longer than 2 s',
  ],
  ['one that counts too far', '{% for a in range(0, 9, 0) %}{% endfor %}', 'too long'],
  ['one that says nothing of the answer', MESSAGE, 'does not state an answer'],
])('refuses %s', (_what, template, why) => {
  expect(() => openChat(template === null ? null : { template, tokens: {} })).toThrow(why);
});

test('refuses a shared beginning where a message is stated twice', () => {
  const twice = `{% for m in messages %}{{ m.content }}{{ m.content }}{% endfor %}`;
  expect(() => openChat({ template: twice, tokens: {} }).around('x')).toThrow('exactly once');
});

describe('where a checkpoint keeps it', () => {
  const json = JSON.stringify(buildWordLevelTokenizer(['ada bo']));
  const read = (settings: object, template: string | null = null) =>
    readTokenizer(json, { ...{ eosId: undefined, dVocab: 10, template }, settings: { ...settings } }).chat;

  test('is tokenizer_config.json, with the special tokens that it names', () => {
    const settings = {
      chat_template: 'x',
      bos_token: { content: '<s>' },
      eos_token: '<eos>',
      pad_token: null,
    };
    expect(read(settings)).toEqual({ template: 'x', tokens: { bos_token: '<s>', eos_token: '<eos>' } });
  });

  test('is the default of several', () => {
    const named = (name: string) => ({ name, template: `of ${name}` });
    expect(read({ chat_template: [named('rag'), named('default')] })?.template).toBe('of default');
    expect(read({ chat_template: [named('rag')] })).toBeUndefined();
  });

  test('is a file of its own before that', () => {
    expect(read({ chat_template: 'x' }, 'y')?.template).toBe('y');
    expect(read({})).toBeUndefined();
    expect(read({ chat_template: 'x'.repeat(MAX_TEMPLATE + 1) })).toBeUndefined();
  });

  test("is a GGUF file's metadata", () => {
    const found = readGgufChat({
      'tokenizer.ggml.tokens': ['<unk>', '<s>', '</s>'],
      'tokenizer.ggml.bos_token_id': 1,
      'tokenizer.ggml.eos_token_id': 2,
      'tokenizer.chat_template': 'x',
    });
    expect(found).toEqual({ template: 'x', settings: { bos_token: '<s>', eos_token: '</s>' } });
    expect(readGgufChat({ 'tokenizer.ggml.tokens': [] })).toEqual({ template: null, settings: {} });
  });

  test('goes out again as transformers reads it', () => {
    const stored = readTokenizer(json, {
      ...{ eosId: undefined, dVocab: 10, template: null },
      settings: { chat_template: 'x', bos_token: '<s>' },
    });
    const { settings, json: written } = describeTokenizer(stored, 8);
    expect(settings).toMatchObject({ chat_template: 'x', bos_token: '<s>', eos_token: '<eos>' });
    expect(written).not.toHaveProperty('chat');
  });
});
