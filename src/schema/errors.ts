/** The typed errors that mutations return; all other errors are top-level GraphQL errors with `extensions.code`. */
import { AppError } from '../errors.ts';
import { builder } from './builder.ts';

const ErrorInterface = builder.interfaceRef<AppError>('Error').implement({
  description: 'What every typed error of a mutation has.',
  fields: (t) => ({
    message: t.exposeString('message', { description: 'What was wrong and what is accepted, in English.' }),
  }),
});

const errorRef = (name: string, description: string) =>
  builder.objectRef<AppError>(name).implement({ description, interfaces: [ErrorInterface] });

const InputError = builder.objectRef<AppError>('InputError').implement({
  description: 'A value of the input is not acceptable; nothing was changed.',
  interfaces: [ErrorInterface],
  fields: (t) => ({
    path: t.stringList({
      description:
        'Path to the offending value inside `input`, outermost first, such as `["settings", "layer"]`; list positions are numbers as text.',
      resolve: (error) => [...error.path],
    }),
  }),
});

/** The codes that a mutation may answer with a typed error. */
export const TYPED_ERRORS = {
  INVALID_INPUT: InputError,
  NOT_FOUND: errorRef('NotFoundError', 'Something that the input names does not exist; nothing was changed.'),
  CONFLICT: errorRef(
    'ConflictError',
    'The present state of things does not allow it, such as a name that is taken or a run that has ended.',
  ),
} as const;

export type TypedErrorCode = keyof typeof TYPED_ERRORS;

/** Name of the GraphQL type that shows this error. */
export function errorTypeName(error: AppError): string {
  return TYPED_ERRORS[error.code as TypedErrorCode].name;
}

export function isTypedError(error: unknown, codes: readonly TypedErrorCode[]): error is AppError {
  return error instanceof AppError && (codes as readonly string[]).includes(error.code);
}
