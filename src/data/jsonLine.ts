/** One line of JSON, held to a schema. */
import type { z } from 'zod';
import { withoutNulls } from './records.ts';

/** What the line says, or in a sentence what is wrong with it. */
export function parseJsonLine<Schema extends z.ZodType>(
  text: string,
  schema: Schema,
): { data: z.output<Schema>; reason: null } | { data: null; reason: string } {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    return { data: null, reason: `it is not JSON: ${(error as Error).message}` };
  }
  const parsed = schema.safeParse(withoutNulls(value));
  if (parsed.success) return { data: parsed.data, reason: null };
  const reasons = parsed.error.issues.map(({ path, message }) => [path.join('.'), message].join(' ').trim());
  return { data: null, reason: reasons.join('; ') };
}
