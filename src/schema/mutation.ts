/** The one shape of every mutation: `input` in; a union of success and typed errors out. */
import type { InputObjectRef, ObjectRef } from '@pothos/core';
import { invalidInputs } from '../errors.ts';
import { recordMutation } from './audit.ts';
import { builder } from './builder.ts';
import type { Context } from './context.ts';
import { TYPED_ERRORS, TypedError, type TypedErrorCode, toTypedError } from './errors.ts';
import { asSent } from './missing.ts';
import { argumentIssues } from './texts.ts';

type Builder = typeof builder extends PothosSchemaTypes.SchemaBuilder<infer T> ? T : never;

export interface MutationOptions<Input, Success extends object> {
  description: string;
  scope: 'run' | 'admin';
  input: InputObjectRef<Builder, Input>;
  success: ObjectRef<Builder, Success>;
  errors: readonly TypedErrorCode[];
  resolve(input: Input, context: Context): Promise<Success>;
}

/** Adds `name(input: …!): <Name>Result!`. Errors of a code not in `errors` become top-level GraphQL errors. */
export function addMutation<Input, Success extends object>(
  name: string,
  { description, scope, input, success, errors, resolve }: MutationOptions<Input, Success>,
): void {
  const result = builder.unionType(`${name[0]!.toUpperCase()}${name.slice(1)}Result`, {
    description: `What \`${name}\` answers.`,
    types: [success, ...errors.map((code) => TYPED_ERRORS[code])] as never,
    resolveType: (value: unknown) =>
      value instanceof TypedError ? TYPED_ERRORS[value.code].name : success.name,
  });
  builder.mutationField(name, (t) =>
    t.field({
      description: `${description} Scope ${scope.toUpperCase()}.`,
      authScopes: { [scope]: true },
      type: result as never,
      args: { input: t.arg({ type: input, required: true, description: 'What is to be done.' }) },
      resolve: async (_root, args, context, { schema }) => {
        const { input: given } = args as { input: Input & object };
        const recorded = { operation: name, input: given, success: success.name, schema };
        const answer = async () => {
          try {
            const { args: declared } = schema.getMutationType()!.getFields()[name]!;
            const issues = argumentIssues(declared, args);
            if (issues.length > 0) throw invalidInputs(issues);
            return await resolve(given, context);
          } catch (error) {
            const told = asSent(error, given);
            const typed = toTypedError(told, errors);
            if (typed) return typed;
            throw told;
          }
        };
        try {
          return (await recordMutation<object>(context, recorded, answer)) as never;
        } finally {
          // Later fields of the same request must see what changed.
          context.loaders.clear();
        }
      },
    }),
  );
}
