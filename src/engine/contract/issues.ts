/** What zod finds wrong, in words that say which setting, what is accepted and what it was. */
import { z } from 'zod';
import { acceptedOf, unwrap } from './describe.ts';

/** The words for an issue that its schema has none for. */
export function describeIssue(schema: z.core.$ZodType, issue: z.core.$ZodRawIssue): string {
  const at = schemaAt(schema, issue.path ?? []);
  const must = at && expected(at);
  if (issue.code === 'unrecognized_keys' || !must) return issue.message ?? 'is not acceptable';
  if (issue.code === 'invalid_type' && issue.input === undefined) return `must be given: ${must}`;
  return `must be ${must}; got ${wordGiven(at, issue.input)}`;
}

/** Each issue with its path below `path` and the name of what it is about. */
export function toIssues(issues: readonly z.core.$ZodIssue[], path: readonly string[]) {
  return issues.flatMap((issue) => {
    const own = [...path, ...issue.path.map(String)];
    if (issue.code === 'unrecognized_keys')
      return issue.keys.map((key) => ({
        path: [...own, key],
        message: `${key} is not known here; leave it out`,
      }));
    // A message of a schema that serves many settings does not know this one's name.
    const named = issue.message.startsWith('must ')
      ? `${labelOf(own)} ${issue.message}`.trimStart()
      : issue.message;
    return [{ path: own, message: named }];
  });
}

/** `layer`; `alphas[3]` for an item of a list. */
export function labelOf(path: readonly string[]): string {
  const key = path.findLastIndex((part) => !/^\d+$/.test(part));
  return `${path[key] ?? ''}${path
    .slice(key + 1)
    .map((index) => `[${index}]`)
    .join('')}`;
}

function schemaAt(schema: z.core.$ZodType, path: readonly PropertyKey[]): z.core.$ZodType | null {
  const bare = unwrap(schema);
  if (path.length === 0) return bare;
  const [key, ...rest] = path as [PropertyKey, ...PropertyKey[]];
  const next =
    bare instanceof z.ZodObject
      ? bare.shape[key as string]
      : bare instanceof z.ZodArray
        ? bare.element
        : null;
  return next ? schemaAt(next, rest) : null;
}

/** What stands behind "must be". */
function expected(schema: z.core.$ZodType): string | null {
  const accepted = acceptedOf(schema);
  if (schema instanceof z.ZodEnum) return `one of ${schema.options.join(', ')}`;
  if (schema instanceof z.ZodArray) return accepted ?? 'a list';
  if (schema instanceof z.ZodBoolean) return 'true or false';
  if (schema instanceof z.ZodString) return 'text';
  if (schema instanceof z.ZodObject) return 'an object';
  if (!(schema instanceof z.ZodNumber)) return null;
  return [schema.isInt ? 'a whole number' : 'a number', accepted].filter(Boolean).join(', ');
}

function wordGiven(schema: z.core.$ZodType, given: unknown): string {
  if (schema instanceof z.ZodArray && Array.isArray(given)) return `${given.length} values`;
  if (typeof given === 'string')
    return JSON.stringify(given.length > 100 ? `${given.slice(0, 100)}…` : given);
  return typeof given === 'object' ? 'something else' : String(given);
}
