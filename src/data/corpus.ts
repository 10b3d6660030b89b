/** Documents of a text corpus, out of JSONL lines or of plain text, one at a time. */
import { z } from 'zod';
import { invalidInput } from '../errors.ts';
import { parseJsonLine } from './jsonLine.ts';
import { type Bytes, type Line, type ReadLimits, readLines } from './lines.ts';
import { Problems } from './problems.ts';

export const CORPUS_FORMATS = ['JSONL', 'PLAIN'] as const;
export type CorpusFormat = (typeof CORPUS_FORMATS)[number];

/** Of one file; documents are held one at a time, whatever there is of them. */
export const CORPUS_LIMITS: ReadLimits = {
  maxBytes: 64 * 2 ** 30,
  maxLines: 1_000_000_000,
  maxLineBytes: 2 ** 20,
};

/** Characters of a document made of plain text: enough for any context, little enough to tokenise at once. */
const PLAIN_DOCUMENT = 8192;

const textLine = z.object({
  type: z.literal('text', { error: 'must be text, or be left out' }).optional(),
  text: z.string({ error: 'must be text' }),
});

/**
 * The documents of a file: each `text` of JSONL, whatever else its line says; of plain text lines, as many together as
 * make up 8,192 characters, longer lines cut. Documents of white space are left out.
 * @throws AppError INVALID_INPUT listing bad lines with their numbers, at the latest at the end.
 */
export async function* readDocuments(
  bytes: Bytes,
  format: CorpusFormat,
  limits: ReadLimits = CORPUS_LIMITS,
): AsyncGenerator<string> {
  const problems = new Problems('line');
  const lines = readLines(bytes, limits);
  for await (const text of format === 'JSONL' ? readTexts(lines, problems) : joinLines(lines, problems))
    if (text.trim() !== '') yield text;
  problems.throwIfAny();
}

/** Of a file by its name: JSONL where it ends so, otherwise plain text. */
export function corpusFormatOf(name: string): CorpusFormat {
  return /\.(jsonl|ndjson)$/i.test(name) ? 'JSONL' : 'PLAIN';
}

async function* readTexts(lines: AsyncIterable<Line>, problems: Problems): AsyncGenerator<string> {
  for await (const { number, text, problem } of lines) {
    if (problem) problems.add(number, problem);
    if (problem || !text.trim()) continue;
    const { data, reason } = parseJsonLine(text, textLine);
    if (data === null) problems.add(number, reason);
    else yield data.text;
  }
}

async function* joinLines(lines: AsyncIterable<Line>, problems: Problems): AsyncGenerator<string> {
  let document = '';
  for await (const { number, text, problem } of lines) {
    if (problem) problems.add(number, problem);
    document += `${text}\n`;
    while (document.length >= PLAIN_DOCUMENT) {
      const end = endOf(document);
      yield document.slice(0, end);
      document = document.slice(end);
    }
  }
  yield document;
}

/** Where to cut a text that is too long: behind its last line break in reach, else its last space, else anywhere. */
function endOf(text: string): number {
  const reach = text.slice(0, PLAIN_DOCUMENT);
  const end = Math.max(reach.lastIndexOf('\n'), 0) || Math.max(reach.lastIndexOf(' '), 0);
  if (end > 0) return end + 1;
  // Not between the halves of a character.
  return /[\uD800-\uDBFF]$/.test(reach) ? PLAIN_DOCUMENT - 1 : PLAIN_DOCUMENT;
}

/** @throws AppError INVALID_INPUT when there is none. */
export function checkDocuments(documents: number): void {
  if (documents === 0) throw invalidInput([], 'The corpus has no text: nothing but white space was found.');
}
