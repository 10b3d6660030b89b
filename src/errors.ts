/** What went wrong, in the caller's terms; decides the GraphQL error type and whether the text may leave the server. */
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

/**
 * The one error that services throw on purpose. Its message is written for the caller: which field or line,
 * what it was, what is accepted. Anything else that is thrown is masked at the edge.
 */
export class AppError extends Error {
  readonly code: AppErrorCode;
  /** Path into the input, such as `['settings', 'layer']` or `['lines', '12']`. */
  readonly path: readonly string[];

  constructor(
    code: AppErrorCode,
    message: string,
    options: { path?: readonly string[]; cause?: unknown } = {},
  ) {
    super(message, { cause: options.cause });
    this.name = 'AppError';
    this.code = code;
    this.path = options.path ?? [];
  }
}

/** Shorthand for the commonest case: one field of the input is not acceptable. */
export function invalidInput(path: readonly string[], message: string): AppError {
  return new AppError('INVALID_INPUT', message, { path });
}

/** Nothing of that kind has this id. */
export function notFound(what: string, id: string): AppError {
  return new AppError('NOT_FOUND', `${what} ${id} does not exist`);
}

/** Throws what `zod` found as one `AppError` naming the first offending field. */
export function parseOrThrow<T>(
  schema: { safeParse(value: unknown): { success: true; data: T } | { success: false; error: ZodLikeError } },
  value: unknown,
  path: readonly string[] = [],
): T {
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  const issue = parsed.error.issues[0]!;
  throw invalidInput(
    [...path, ...issue.path.map(String)],
    parsed.error.issues.map((i) => i.message).join('; '),
  );
}

interface ZodLikeError {
  issues: { path: PropertyKey[]; message: string }[];
}
