/** Our errors in the form that GraphQL knows. */
import { GraphQLError, type GraphQLSchema, isObjectType } from 'graphql';
import { AppError } from '../errors.ts';

/**
 * Makes every resolver of the schema throw a `GraphQLError` with the extensions of `extensionsOf` for an `AppError`
 * that the caller may see. Left alone, graphql-js would take an `AppError`, which has a `path` of its own, for an
 * error that it has located already, and lose the field that it came from.
 */
export function exposeErrors(schema: GraphQLSchema): GraphQLSchema {
  for (const type of Object.values(schema.getTypeMap())) {
    if (!isObjectType(type)) continue;
    for (const field of Object.values(type.getFields())) {
      if (field.resolve) field.resolve = exposing(field.resolve);
      if (field.subscribe) field.subscribe = exposing(field.subscribe);
    }
  }
  return schema;
}

function exposing<Args extends unknown[], Result>(
  resolve: (...args: Args) => Result,
): (...args: Args) => Result {
  return (...args) => {
    try {
      const result = resolve(...args);
      return result instanceof Promise ? (result.catch(rethrow) as Result) : result;
    } catch (error) {
      return rethrow(error);
    }
  };
}

function rethrow(error: unknown): never {
  if (!(error instanceof AppError) || error.code === 'INTERNAL') throw error;
  throw new GraphQLError(error.message, { originalError: error, extensions: extensionsOf(error) });
}

/** What clients are told beside the message; `issues` where values of the input are not acceptable. */
export function extensionsOf({ code, path, issues }: AppError): Record<string, unknown> {
  return { code, path, ...(issues.length > 0 && { issues }) };
}
