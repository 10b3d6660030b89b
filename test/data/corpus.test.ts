import { describe, expect, test } from 'vitest';
import { type CorpusFormat, corpusFormatOf, readDocuments } from '../../src/data/corpus.ts';
import type { ReadLimits } from '../../src/data/lines.ts';

async function read(text: string | Uint8Array, format: CorpusFormat, limits?: ReadLimits): Promise<string[]> {
  const documents: string[] = [];
  for await (const document of readDocuments([Buffer.from(text)], format, limits)) documents.push(document);
  return documents;
}

describe('JSONL', () => {
  test('each text is a document, whatever else a line says; those of white space are left out', async () => {
    const lines = [
      '{"text":"One.\\nTwo. 🦉"}',
      '',
      '{"type":"text","text":"Three","meta":{"a":1}}',
      '{"text":"  "}',
    ];
    expect(await read(lines.join('\n'), 'JSONL')).toEqual(['One.\nTwo. 🦉', 'Three']);
  });

  test('bad lines are told with their numbers', async () => {
    const lines = ['{"text":"One"}', '{"text":7}', 'no json', '{"type":"fact","text":"x"}', '[]'];
    await expect(read(lines.join('\n'), 'JSONL')).rejects.toMatchObject({
      code: 'INVALID_INPUT',
      path: ['lines', '2'],
      message: expect.stringMatching(
        /4 bad lines.*\nline 2: text must be text\nline 3: it is not JSON.*\nline 4: type must be text, or be left out\nline 5: /,
      ),
    });
  });

  test('a line that is too long is told, and a file of another kind', async () => {
    const limits = { maxBytes: 1000, maxLines: 10, maxLineBytes: 20 };
    await expect(read(`{"text":"${'x'.repeat(30)}"}`, 'JSONL', limits)).rejects.toThrow(
      /line 1: it has 41 bytes, at most 20 are accepted/,
    );
    await expect(read(Uint8Array.of(0x1f, 0x8b, 8, 0), 'JSONL')).rejects.toThrow(/compressed by gzip/);
  });
});

describe('plain text', () => {
  test('lines are put together to documents, and nothing of them is lost', async () => {
    const lines = Array.from({ length: 900 }, (_, i) => `Line ${i} says something, and then it ends.`);
    const documents = await read(lines.join('\n'), 'PLAIN');
    expect(documents.join('')).toBe(`${lines.join('\n')}\n`);
    expect(documents.length).toBeGreaterThan(4);
    for (const document of documents.slice(0, -1)) {
      expect(document.length).toBeLessThanOrEqual(8193);
      expect(document.endsWith('\n')).toBe(true);
    }
  });

  test('a long line is cut at spaces, or where there is none, never within a character', async () => {
    const words = await read('word '.repeat(5000), 'PLAIN');
    for (const document of words.slice(0, -1)) expect(document.endsWith('word ')).toBe(true);
    const owls = await read(`x${'🦉'.repeat(10_000)}`, 'PLAIN');
    expect(owls.join('')).toBe(`x${'🦉'.repeat(10_000)}\n`);
    for (const document of owls) expect(document).not.toMatch(/\p{Cs}/u);
  });
});

test('a file is what its name says', () => {
  expect(['a.jsonl', 'b.NDJSON', 'c.txt', 'd'].map(corpusFormatOf)).toEqual([
    ...['JSONL', 'JSONL', 'PLAIN', 'PLAIN'],
  ]);
});
