/** The typed errors that mutations return; all other errors are top-level GraphQL errors with `extensions.code`. */
import type { RunKind } from '../engine/contract/runs.ts';
import { AppError, type Dependant, type InputIssue } from '../errors.ts';
import { builder } from './builder.ts';
import { encodeGlobalId, typenameOf } from './ids.ts';

/** An error as a value: GraphQL takes any returned `Error` for a thrown one. */
export class TypedError {
  readonly code: TypedErrorCode;
  readonly message: string;
  readonly path: readonly string[];
  readonly issues: readonly InputIssue[];
  readonly dependants: readonly Dependant[];

  constructor(code: TypedErrorCode, { message, path, issues, dependants }: AppError) {
    this.dependants = dependants;
    this.code = code;
    this.message = message;
    this.path = path;
    this.issues = issues;
  }
}

const ErrorInterface = builder.interfaceRef<TypedError>('Error').implement({
  description: 'What every typed error of a mutation has.',
  fields: (t) => ({
    message: t.exposeString('message', { description: 'What was wrong and what is accepted, in English.' }),
  }),
});

function errorRef(name: string, description: string) {
  return builder.objectRef<TypedError>(name).implement({ description, interfaces: [ErrorInterface] });
}

const InputIssueRef = builder.objectRef<InputIssue>('InputIssue').implement({
  description: 'A value of the input that is not acceptable.',
  fields: (t) => ({
    path: t.stringList({
      description: 'Path to the value inside `input`, as that of an `InputError`.',
      resolve: ({ path }) => [...path],
    }),
    message: t.exposeString('message', {
      description: 'Which value, what it was and what is accepted, in English.',
    }),
  }),
});

const InputError = builder.objectRef<TypedError>('InputError').implement({
  description: 'Values of the input are not acceptable; nothing was changed.',
  interfaces: [ErrorInterface],
  fields: (t) => ({
    path: t.stringList({
      description:
        'Path to the offending value inside `input`, outermost first, such as `["settings", "layer"]`; list positions are numbers as text. Of several, the first.',
      resolve: (error) => [...error.path],
    }),
    issues: t.field({
      type: [InputIssueRef],
      description: 'Each value that is not acceptable, with its path; never empty.',
      resolve: (error) => error.issues,
    }),
  }),
});

/** The global id of what a deletion takes with it. */
export function dependantId(dependant: Dependant): string {
  return encodeGlobalId(typeOf(dependant), dependant.id);
}

function typeOf({ type, kind }: Dependant): string {
  return kind === undefined ? type : typenameOf(kind as RunKind);
}

const DependantRef = builder.objectRef<Dependant>('Dependant').implement({
  description: 'Something that rests on what was to be deleted.',
  fields: (t) => ({
    id: t.id({ description: 'Its global id.', resolve: dependantId }),
    type: t.string({
      description: 'Its type, such as `AlignmentRun`.',
      resolve: typeOf,
    }),
    name: t.string({
      nullable: true,
      description: 'Its name for people; null where it has none.',
      resolve: ({ name }) => name || null,
    }),
  }),
});

const ConflictError = builder.objectRef<TypedError>('ConflictError').implement({
  description:
    'The present state of things does not allow it, such as a name that is taken or a run that has ended.',
  interfaces: [ErrorInterface],
  fields: (t) => ({
    dependants: t.field({
      type: [DependantRef],
      description:
        'Of a deletion: what rests on the thing, directly or not, or what of it has not ended; empty for anything else.',
      resolve: ({ dependants }) => dependants,
    }),
  }),
});

/** The codes that a mutation may answer with a typed error. */
export const TYPED_ERRORS = {
  INVALID_INPUT: InputError,
  NOT_FOUND: errorRef('NotFoundError', 'Something that the input names does not exist; nothing was changed.'),
  CONFLICT: ConflictError,
  UNAVAILABLE: errorRef(
    'UnavailableError',
    'Something outside the server that this needs cannot be reached now; nothing was changed, and trying again later may help.',
  ),
} as const;

export type TypedErrorCode = 'INVALID_INPUT' | 'NOT_FOUND' | 'CONFLICT' | 'UNAVAILABLE';

/** The thrown error as a value, if its code is one of these; null for all others. */
export function toTypedError(error: unknown, codes: readonly TypedErrorCode[]): TypedError | null {
  const code = error instanceof AppError ? codes.find((candidate) => candidate === error.code) : undefined;
  return code === undefined ? null : new TypedError(code, error as AppError);
}
