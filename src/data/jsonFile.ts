/** JSON values, of files that hold one each and of lines, and checks of what stands in them. */
import type { z } from 'zod';
import { AppError } from '../errors.ts';
import { toUtf8 } from './encoding.ts';
import { type Bytes, limitBytes, type ReadLimits } from './lines.ts';
import { withoutNulls } from './records.ts';

/** A JSON value is parsed whole, so it may not be as long as a file that is read by lines. */
const MAX_BYTES = 64 * 2 ** 20;

/**
 * The value, or the error of reading it, which no schema here accepts.
 * @throws AppError INVALID_INPUT for what is too long or not UTF-8.
 */
export async function readJson(name: string, bytes: Bytes, { maxBytes }: ReadLimits): Promise<unknown> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of toUtf8(limitBytes(bytes, Math.min(maxBytes, MAX_BYTES)))) chunks.push(chunk);
  return parseJson(decode(name, Buffer.concat(chunks)));
}

/** What to throw for a file that holds another value than `expected`. */
export function notJson(name: string, expected: string, value: unknown): AppError {
  const was = value instanceof SyntaxError ? value.message : `it is ${typeof value}`;
  return new AppError('INVALID_INPUT', `${name} must be ${expected}: ${was}.`, { path: [name] });
}

/** Without a byte order mark, which JSON does not know. */
function decode(name: string, bytes: Buffer): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch (cause) {
    throw new AppError('INVALID_INPUT', `${name} is not valid UTF-8.`, { path: [name], cause });
  }
}

/** The value, or the error of reading it, which no schema here accepts. */
export function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    return error;
  }
}

/** The value as the schema has it; null where `refuse` was told what is wrong. */
export function check<T>(schema: z.ZodType<T>, value: unknown, refuse: (reason: string) => void): T | null {
  if (value instanceof SyntaxError) {
    refuse(`it is not JSON: ${value.message}`);
    return null;
  }
  const parsed = schema.safeParse(withoutNulls(value));
  if (parsed.success) return parsed.data;
  refuse(
    parsed.error.issues.map(({ path, message }) => [path.join('.'), message].join(' ').trim()).join('; '),
  );
  return null;
}
