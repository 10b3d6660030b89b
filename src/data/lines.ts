/** Lines of a stream of bytes, one at a time, within limits. */
import { AppError } from '../errors.ts';
import { toUtf8 } from './encoding.ts';

export type Bytes = AsyncIterable<Uint8Array> | Iterable<Uint8Array>;

/** How much of a file an import reads. */
export interface ReadLimits {
  /** Bytes of the whole file. */
  maxBytes: number;
  maxLines: number;
  /** Bytes of one line, its line break left out. */
  maxLineBytes: number;
}

/** Generous for datasets written by hand or by a script, small enough that no import fills the machine. */
export const READ_LIMITS: ReadLimits = {
  maxBytes: 512 * 2 ** 20,
  maxLines: 2_000_000,
  maxLineBytes: 64 * 2 ** 10,
};

export interface Line {
  /** 1-based. */
  number: number;
  /** Empty when the line cannot be read. */
  text: string;
  /** Why the line cannot be read; null when it can. */
  problem: string | null;
}

const LINE_FEED = 0x0a;
const CARRIAGE_RETURN = 0x0d;

/**
 * Splits a text file, UTF-8 or UTF-16, at line feeds; a byte order mark and carriage returns are dropped.
 * A line that is too long is skipped without being kept in memory and reported in its place.
 * @throws AppError INVALID_INPUT when the file is longer than the limits, naming both numbers, or no text.
 */
export async function* readLines(bytes: Bytes, limits: ReadLimits = READ_LIMITS): AsyncGenerator<Line> {
  const decoder = new TextDecoder('utf-8', { fatal: true });
  let number = 0;
  let parts: Uint8Array[] = [];
  let length = 0;
  const finish = (): Line => {
    number += 1;
    if (number > limits.maxLines)
      throw tooLong(`it has at least ${number} lines`, `${limits.maxLines} lines`);
    const line = decodeLine(number, parts, length, limits, decoder);
    parts = [];
    length = 0;
    return line;
  };
  const append = (part: Uint8Array): void => {
    length += part.length;
    if (length > limits.maxLineBytes + 1) parts = [];
    else if (part.length) parts.push(part);
  };
  for await (const chunk of toUtf8(limitBytes(bytes, limits.maxBytes))) {
    let start = 0;
    for (let end = chunk.indexOf(LINE_FEED); end >= 0; end = chunk.indexOf(LINE_FEED, start)) {
      append(chunk.subarray(start, end));
      yield finish();
      start = end + 1;
    }
    append(chunk.subarray(start));
  }
  if (length) yield finish();
}

/**
 * The bytes as they come, until there are too many.
 * @throws AppError INVALID_INPUT past `maxBytes`, naming both numbers.
 */
export async function* limitBytes(bytes: Bytes, maxBytes: number): AsyncGenerator<Uint8Array> {
  let total = 0;
  for await (const chunk of bytes) {
    total += chunk.length;
    if (total > maxBytes) throw tooLong(`it has at least ${total} bytes`, `${maxBytes} bytes`);
    yield chunk;
  }
}

function decodeLine(
  number: number,
  parts: readonly Uint8Array[],
  length: number,
  limits: ReadLimits,
  decoder: TextDecoder,
): Line {
  const bytes = Buffer.concat(parts);
  const trimmed = bytes.at(-1) === CARRIAGE_RETURN ? bytes.subarray(0, -1) : bytes;
  if (length > limits.maxLineBytes + 1 || trimmed.length > limits.maxLineBytes) {
    const problem = `it has ${length} bytes, at most ${limits.maxLineBytes} are accepted`;
    return { number, text: '', problem };
  }
  try {
    return { number, text: decoder.decode(trimmed), problem: null };
  } catch {
    return { number, text: '', problem: 'it is not valid UTF-8' };
  }
}

function tooLong(was: string, limit: string): AppError {
  return new AppError('INVALID_INPUT', `The file is too long: ${was}, at most ${limit} are accepted.`);
}
