import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import type { DatasetItem, OntologyDefinition } from '../../src/data/items.ts';
import { openJsonl } from '../../src/data/jsonl.ts';
import type { ReadLimits } from '../../src/data/lines.ts';
import { AppError } from '../../src/errors.ts';

const HEADER = [
  { type: 'ontology', slug: 'people', name: 'People', description: 'Two facts.' },
  { type: 'concept', key: 'birth_city', label: 'birth city', description: 'Where.' },
  { type: 'concept', key: 'boss' },
];
const FACT = { type: 'fact', entity: 'Ada Park', concept: 'birth_city', value: 'Oslo' };
const LIMITS: ReadLimits = { maxBytes: 100_000, maxLines: 1000, maxLineBytes: 500 };

const write = (...lines: unknown[]): string =>
  lines.map((line) => (typeof line === 'string' ? line : JSON.stringify(line))).join('\n');

/** The text as chunks of a few bytes, so that characters and lines are cut anywhere. */
function* chunks(text: string | Uint8Array, size = 7): Generator<Uint8Array> {
  const bytes = Buffer.from(text as string);
  for (let i = 0; i < bytes.length; i += size) yield bytes.subarray(i, i + size);
}

async function read(text: string | Uint8Array, known: OntologyDefinition | null = null, limits = LIMITS) {
  const { ontology, items } = await openJsonl(chunks(text), known, limits);
  const all: DatasetItem[] = [];
  for await (const item of items) all.push(item);
  return { ontology, items: all };
}

async function refusal(text: string | Uint8Array, known: OntologyDefinition | null = null, limits = LIMITS) {
  const error = await read(text, known, limits).then(
    () => null,
    (e: unknown) => e,
  );
  expect(error).toBeInstanceOf(AppError);
  expect((error as AppError).code).toBe('INVALID_INPUT');
  return error as AppError;
}

describe('openJsonl', () => {
  it('reads prompts that only say what they are about, each an entity of its own', async () => {
    const line = { type: 'prompt', prompt: 'A town by the sea', concept: 'birth_city', split: 'TRAIN' };
    const { items } = await read(write(...HEADER, line));
    expect(items).toEqual([
      {
        ...{ type: 'prompt', prompt: 'A town by the sea', answer: null, entity: 'A town by the sea' },
        ...{ concepts: ['birth_city'], template: 'birth_city', split: 'TRAIN', line: 4 },
      },
    ]);
  });

  it('reads an ontology, facts, prompts and texts', async () => {
    const { ontology, items } = await read(
      write(
        ...HEADER,
        FACT,
        '',
        {
          type: 'prompt',
          prompt: 'Where was Ada born?',
          answer: 'Oslo',
          entity: 'Ada Park',
          concept: 'birth_city',
          split: 'train',
        },
        {
          type: 'prompt',
          prompt: 'Who is the boss of the boss of Zoë?',
          answer: 'Bo',
          entity: 'Zoë',
          concepts: ['boss', 'boss'],
          template: 't',
          split: 'TEST_OOD',
        },
        { type: 'text', text: '  Ada was born in Oslo. ', entity: 'Ada Park' },
      ),
    );
    expect(ontology).toEqual({
      slug: 'people',
      name: 'People',
      description: 'Two facts.',
      concepts: [
        { key: 'birth_city', label: 'birth city', description: 'Where.' },
        { key: 'boss', label: 'boss', description: '' },
      ],
    });
    expect(items).toEqual([
      FACT,
      {
        type: 'prompt',
        prompt: 'Where was Ada born?',
        answer: 'Oslo',
        entity: 'Ada Park',
        concepts: ['birth_city'],
        template: 'birth_city',
        split: 'TRAIN',
        line: 6,
      },
      {
        type: 'prompt',
        prompt: 'Who is the boss of the boss of Zoë?',
        answer: 'Bo',
        entity: 'Zoë',
        concepts: ['boss', 'boss'],
        template: 't',
        split: 'TEST_OOD',
        line: 7,
      },
      { type: 'text', text: 'Ada was born in Oslo.', entity: 'Ada Park', split: 'TRAIN' },
    ]);
  });

  it('reads lists of accepted values and answers, the usual one first', async () => {
    const prompt = {
      type: 'prompt',
      prompt: 'Who is the boss of Ada?',
      entity: 'Ada',
      concept: 'boss',
      split: 'TRAIN',
    };
    const { items } = await read(
      write(
        ...HEADER,
        { type: 'fact', entity: 'Ada', concept: 'boss', value: ['Bo', ' Cy '] },
        { ...prompt, answer: ['Bo', 'Cy'] },
        { ...prompt, answer: ['Bo'] },
      ),
    );
    const asked = { ...prompt, concept: undefined, concepts: ['boss'], template: 'boss', answer: 'Bo' };
    expect(items).toEqual([
      { type: 'fact', entity: 'Ada', concept: 'boss', value: 'Bo' },
      { type: 'fact', entity: 'Ada', concept: 'boss', value: 'Cy' },
      { ...asked, otherAnswers: ['Cy'], line: 5 },
      { ...asked, line: 6 },
    ]);
  });

  it.each([
    ['no answer', { answer: [] }, 'answer must be a text or a list of 1 to 100 texts, got 0'],
    [
      'more than anybody means',
      {
        answer: Array(101)
          .fill('a')
          .map((a, i) => `${a}${i}`),
      },
      'got 101',
    ],
    ['one that is no text', { answer: ['Bo', 3] }, 'answer.1 must be text'],
    ['an empty one', { answer: ['', 'Bo'] }, 'answer.0 must not be empty'],
    ['the same twice', { answer: ['Bo', ' bo'] }, 'answer.1 says the same as "Bo"; list each answer once'],
    ['a list in a list', { answer: [['Bo']] }, 'answer.0 must be text'],
    ['an object', { answer: { en: 'Bo' } }, 'answer must be text'],
  ])('refuses a list with %s, by its line', async (_what, wrong, message) => {
    const line = { type: 'prompt', prompt: 'Who?', entity: 'Ada', concept: 'boss', split: 'TRAIN', ...wrong };
    const limits = { ...LIMITS, maxLineBytes: 5000 };
    const refused = (await refusal(write(...HEADER, FACT, line), null, limits)).message;
    expect(refused).toContain('line 5: ');
    expect(refused).toContain(message);
  });

  it('refuses a second line about values that a list states', async () => {
    const list = { type: 'fact', entity: 'Ada', concept: 'boss', value: ['Bo', 'Cy'] };
    const { message } = await refusal(write(...HEADER, list, { ...list, value: 'Di' }));
    expect(message).toContain('line 5: line 4 states the boss of Ada already');
  });

  it('reads the example of the documentation', async () => {
    const guide = readFileSync(new URL('../../docs/datasets.md', import.meta.url), 'utf8');
    const [, example] = /```jsonl\n([\s\S]*?)```/.exec(guide)!;
    const { ontology, items } = await read(example!);
    expect(ontology).toMatchObject({ slug: 'towns', concepts: [{ key: 'river' }, { key: 'mayor' }] });
    expect(items.map((item) => item.type)).toEqual(['fact', 'prompt', 'prompt', 'text']);
  });

  it('takes a byte order mark, Windows line ends and a last line without one', async () => {
    const text = `\ufeff${write(...HEADER, FACT).replaceAll('\n', '\r\n')}`;
    expect((await read(text)).items).toEqual([FACT]);
    expect((await read(`${text}\r\n`)).items).toEqual([FACT]);
  });

  it('reads UTF-16 as Windows writes it, with and without a byte order mark', async () => {
    const text = write(...HEADER, { ...FACT, entity: 'Zoë 🚂' }).replaceAll('\n', '\r\n');
    const little = Buffer.from(text, 'utf16le');
    const big = Buffer.from(little).swap16();
    const marked = [Buffer.from([0xff, 0xfe]), little, Buffer.from([0xfe, 0xff]), big];
    for (const bytes of [little, big, Buffer.concat(marked.slice(0, 2)), Buffer.concat(marked.slice(2))])
      expect((await read(bytes)).items).toEqual([{ ...FACT, entity: 'Zoë 🚂' }]);
  });

  it('says in one sentence what the file is where it is no text that is read', async () => {
    const utf16 = Buffer.concat([Buffer.from([0xff, 0xfe]), Buffer.from(write(...HEADER, FACT), 'utf16le')]);
    for (const [bytes, reason] of [
      [Buffer.from([0xff, 0xfe, 0, 0, 0x7b, 0, 0, 0]), /^[^.]* it is UTF-32 text; accepted is [^.]*\.$/],
      [Buffer.concat([utf16, Buffer.from([0x7b])]), /^[^.]* begins as UTF-16 text, but not all of it is/],
      [
        Buffer.from('version https://git-lfs.github.com/spec/v1\noid sha256:0'),
        /Git LFS pointer.*git lfs pull/,
      ],
      [Buffer.from([0x1f, 0x8b, 8, 0]), /compressed by gzip/],
      [Buffer.from('PAR1....'), /Parquet/],
    ] as const)
      expect((await refusal(bytes)).message).toMatch(reason);
  });

  it('takes null for a field that a row lacks, as tables write it', async () => {
    const lacking = {
      label: null,
      description: null,
      answer: null,
      entity: null,
      template: null,
      text: null,
    };
    const { ontology, items } = await read(
      write(
        { ...HEADER[0], ...lacking },
        { ...HEADER[1], ...lacking },
        {
          type: 'prompt',
          prompt: 'A joy',
          concept: 'birth_city',
          split: 'TRAIN',
          ...lacking,
          concepts: null,
        },
        {
          type: 'text',
          split: null,
          value: null,
          ...{ ...lacking, entity: 'Ada', text: 'Ada.' },
        },
      ),
    );
    expect(ontology.concepts).toEqual([{ key: 'birth_city', label: 'birth city', description: '' }]);
    expect(items).toMatchObject([
      { prompt: 'A joy', answer: null, entity: 'A joy', concepts: ['birth_city'] },
      { type: 'text', text: 'Ada.', split: 'TRAIN' },
    ]);
    const missing = await refusal(write(...HEADER, { ...FACT, value: null }));
    expect(missing.message).toContain('line 4: value must be text');
  });

  it('writes decomposed letters as one', async () => {
    const { items } = await read(write(...HEADER, { ...FACT, entity: 'Zoe\u0308' }));
    expect(items).toMatchObject([{ entity: 'Zo\u00eb' }]);
  });

  it('lists each bad line with its number and reason, in order', async () => {
    const error = await refusal(
      write(
        ...HEADER,
        '{"type":"fact",',
        { ...FACT, concept: 'shoe_size' },
        FACT,
        { ...FACT, value: 'Rome' },
        { ...FACT, entity: '' },
        { ...FACT, entity: 'Bo\u0000' },
        { ...FACT, extra: 1 },
        { ...FACT, type: 'fakt' },
        { type: 'prompt', prompt: 'Where?', answer: 'Oslo', entity: 'Ada', split: 'TRAIN' },
        { type: 'prompt', prompt: 'Where?', answer: 'Oslo', entity: 'Ada', concept: 'boss', split: 'TEST' },
        { type: 'concept', key: 'late' },
        '[1]',
      ),
    );
    expect(error.path).toEqual(['lines', '4']);
    const lines = error.message.split('\n');
    expect(lines[0]).toBe('11 bad lines, nothing was imported.');
    expect(lines.slice(1)).toEqual([
      expect.stringMatching(/^line 4: it is not JSON: /),
      'line 5: concept shoe_size is not in ontology people, which has birth_city, boss',
      'line 7: line 6 states the birth_city of Ada Park already',
      'line 8: entity must not be empty',
      'line 9: entity must not contain control characters or halves of characters',
      expect.stringMatching(/^line 10: .*extra/),
      'line 11: type must be ontology, concept, fact, prompt or text',
      'line 12: concept must be given, or concepts (one a hop, at most 2), but not both',
      'line 13: split must be TRAIN, VALIDATION or TEST_OOD',
      'line 14: concept lines must come before all others',
      expect.stringMatching(/^line 15: /),
    ]);
  });

  it('stops at twenty bad lines', async () => {
    const error = await refusal(write(...HEADER, FACT, ...new Array(50).fill('{')));
    expect(error.message).toMatch(/^Stopped at 20 bad lines, nothing was imported\./);
    expect(error.message).toContain('line 24:');
    expect(error.message).not.toContain('line 25:');
  });

  it('names the line of bytes that are no text', async () => {
    const bytes = Buffer.concat([Buffer.from(`${write(...HEADER, FACT)}\n"`), Buffer.from([0xff, 0x22])]);
    expect((await refusal(bytes)).message).toContain('line 5: it is not valid UTF-8');
  });

  it('needs an ontology with concepts, and something to import', async () => {
    expect((await refusal('')).message).toContain('an ontology line is needed first');
    expect((await refusal(write(FACT))).message).toContain('line 1: an ontology line is needed first');
    expect((await refusal(write(HEADER[0], FACT))).message).toContain('a concept line is needed');
    expect((await refusal(write(...HEADER))).message).toContain('no fact, prompt or text');
    expect((await refusal(write(HEADER[0], HEADER[0], HEADER[1], FACT))).message).toContain(
      'line 2: there is an ontology line already',
    );
    expect((await refusal(write(...HEADER, HEADER[2], FACT))).message).toContain(
      'line 4: concept boss is defined already',
    );
    expect((await refusal(write({ ...HEADER[0], slug: 'Two Hop' }, HEADER[1], FACT))).message).toContain(
      'line 1: slug must be lower-case letters',
    );
  });

  it('imports into a known ontology, with or without a header of the same', async () => {
    const { ontology } = await read(write(...HEADER, FACT));
    expect((await read(write(FACT), ontology)).items).toEqual([FACT]);
    expect((await read(write(...HEADER, FACT), ontology)).ontology).toBe(ontology);
    const other = await refusal(
      write({ type: 'ontology', slug: 'cities' }, { type: 'concept', key: 'mayor' }, FACT),
      ontology,
    );
    expect(other.message).toContain('line 1: it is about ontology cities, the import is into people');
    expect(other.message).toContain('line 2: concept mayor is not in ontology people');
  });

  it('keeps to its limits, naming what it found and what it accepts', async () => {
    const text = write(...HEADER, FACT, { ...FACT, entity: 'x'.repeat(450) }, { ...FACT, concept: 'boss' });
    expect((await refusal(text)).message).toMatch(/line 5: it has 5\d\d bytes, at most 500 are accepted$/);
    expect((await refusal(text, null, { ...LIMITS, maxLines: 4 })).message).toBe(
      'The file is too long: it has at least 5 lines, at most 4 lines are accepted.',
    );
    expect((await refusal(text, null, { ...LIMITS, maxBytes: 64 })).message).toBe(
      'The file is too long: it has at least 70 bytes, at most 64 bytes are accepted.',
    );
    expect((await refusal(write(...HEADER, { ...FACT, value: 'y'.repeat(201) }))).message).toContain(
      'line 4: value must have at most 200 characters, got 201',
    );
  });
});
