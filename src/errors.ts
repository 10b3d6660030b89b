/** What went wrong, in the caller's terms; decides the GraphQL error type and whether the text may leave the server. */
import type { z } from 'zod';
import { describeIssue, toIssues } from './engine/contract/issues.ts';

export type AppErrorCode =
  | 'INVALID_INPUT'
  | 'NOT_FOUND'
  | 'CONFLICT'
  | 'UNAUTHENTICATED'
  | 'FORBIDDEN'
  | 'LIMIT_EXCEEDED'
  | 'UNAVAILABLE'
  | 'ENGINE_FAILED'
  | 'INTERNAL';

/** One thing that is not acceptable. */
export interface InputIssue {
  /** Path into the input, such as `['settings', 'layer']` or `['lines', '12']`. */
  path: readonly string[];
  /** Which value, what it was, what is accepted. */
  message: string;
}

/** Something that rests on what was to be deleted, or goes with it. */
export interface Dependant {
  type: 'Run' | 'Sae' | 'Model' | 'Dataset' | 'Corpus' | 'Ontology';
  id: string;
  /** Empty where it has none. */
  name: string;
  /** Of a run: which kind it is. */
  kind?: string;
}

/**
 * The one error that services throw on purpose. Its message is written for the caller: which field or line,
 * what it was, what is accepted. Anything else that is thrown is masked at the edge.
 */
export class AppError extends Error {
  readonly code: AppErrorCode;
  /** That of the first issue. */
  readonly path: readonly string[];
  /** Everything that is not acceptable, where that is what went wrong; never empty then. */
  readonly issues: readonly InputIssue[];
  /** What stands in the way of a deletion. */
  readonly dependants: readonly Dependant[];
  /** What was looked for in vain: a kind of thing, and its row's uuid. */
  readonly missing: { what: string; id: string } | null;

  constructor(
    code: AppErrorCode,
    message: string,
    options: {
      path?: readonly string[];
      issues?: readonly InputIssue[];
      dependants?: readonly Dependant[];
      missing?: { what: string; id: string };
      cause?: unknown;
    } = {},
  ) {
    super(message, { cause: options.cause });
    this.name = 'AppError';
    this.code = code;
    this.dependants = options.dependants ?? [];
    this.missing = options.missing ?? null;
    this.path = options.path ?? options.issues?.[0]?.path ?? [];
    const own = code === 'INVALID_INPUT' ? [{ path: this.path, message }] : [];
    this.issues = options.issues ?? own;
  }
}

/** Shorthand for the commonest case: one field of the input is not acceptable. */
export function invalidInput(path: readonly string[], message: string): AppError {
  return new AppError('INVALID_INPUT', message, { path });
}

/** Several of them; at least one. */
export function invalidInputs(issues: readonly InputIssue[]): AppError {
  return new AppError('INVALID_INPUT', issues.map(({ message }) => message).join('; '), { issues });
}

/** Nothing of that kind has this id. */
export function notFound(what: string, id: string): AppError {
  return new AppError('NOT_FOUND', `${what} ${id} does not exist`, { missing: { what, id } });
}

/** Throws all that `schema` finds as one `AppError`, each with its own path below `path`. */
export function parseOrThrow<Schema extends z.ZodType>(
  schema: Schema,
  value: unknown,
  path: readonly string[] = [],
): z.output<Schema> {
  const parsed = schema.safeParse(value, { error: (issue) => describeIssue(schema, issue) });
  if (parsed.success) return parsed.data;
  throw invalidInputs(toIssues(parsed.error.issues, path));
}
