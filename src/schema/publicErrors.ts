/** Our errors in the form that GraphQL knows. */
import {
  type GraphQLArgument,
  GraphQLError,
  type GraphQLFieldResolver,
  type GraphQLSchema,
  isObjectType,
} from 'graphql';
import { AppError, invalidInputs } from '../errors.ts';
import { asSent } from './missing.ts';
import { argumentIssues, takesTexts } from './texts.ts';

/**
 * Makes every resolver of the schema throw a `GraphQLError` with the extensions of `extensionsOf` for an `AppError`
 * that the caller may see. Left alone, graphql-js would take an `AppError`, which has a `path` of its own, for an
 * error that it has located already, and lose the field that it came from. Texts among the arguments are checked first.
 */
export function exposeErrors(schema: GraphQLSchema): GraphQLSchema {
  const mutations = schema.getMutationType();
  for (const type of Object.values(schema.getTypeMap())) {
    if (!isObjectType(type)) continue;
    for (const field of Object.values(type.getFields())) {
      // Mutations check theirs themselves, to answer with a typed error.
      const check = type === mutations || !takesTexts(field.args) ? null : checkTexts(field.args);
      if (field.subscribe) field.subscribe = exposing(field.subscribe, check);
      if (field.resolve) field.resolve = exposing(field.resolve, field.subscribe ? null : check);
    }
  }
  return schema;
}

type Check = (values: Record<string, unknown>) => void;

function checkTexts(args: readonly GraphQLArgument[]): Check {
  return (values) => {
    const issues = argumentIssues(args, values);
    if (issues.length > 0) throw invalidInputs(issues);
  };
}

function exposing(
  resolve: GraphQLFieldResolver<unknown, unknown>,
  check: Check | null,
): GraphQLFieldResolver<unknown, unknown> {
  return (...args) => {
    try {
      check?.(args[1]);
      const result = resolve(...args);
      return result instanceof Promise ? result.catch((error) => rethrow(error, args[1])) : result;
    } catch (error) {
      return rethrow(error, args[1]);
    }
  };
}

function rethrow(thrown: unknown, args: object): never {
  const error = asSent(thrown, args);
  if (!(error instanceof AppError) || error.code === 'INTERNAL') throw error;
  throw new GraphQLError(error.message, { originalError: error, extensions: extensionsOf(error) });
}

/** What clients are told beside the message; `issues` where values of the input are not acceptable. */
export function extensionsOf({ code, path, issues }: AppError): Record<string, unknown> {
  return { code, path, ...(issues.length > 0 && { issues }) };
}
