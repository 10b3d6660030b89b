/** What may leave the server: our own errors by code, GraphQL's own as they are, anything else only as a number. */
import { GraphQLError } from 'graphql';
import { RETRY_AFTER_SECONDS, toUnavailable } from '../db/transient.ts';
import { AppError } from '../errors.ts';
import type { Logger } from '../log.ts';
import { extensionsOf } from '../schema/publicErrors.ts';

/** Returns the error to send; what is hidden goes to the log with the id that the client sees. */
export function createMaskError(log: Logger): (error: unknown, message: string) => Error {
  return (error) => {
    const cause = error instanceof GraphQLError ? error.originalError : error;
    if (error instanceof GraphQLError && !cause) return nameLimit(error);
    if (cause instanceof GraphQLError) return at(error, cause.message, cause.extensions);
    if (cause instanceof AppError && cause.code !== 'INTERNAL')
      return at(error, cause.message, extensionsOf(cause));
    const unavailable = toUnavailable(cause);
    if (unavailable) {
      log.warn({ err: cause }, 'a request could not be served now');
      const extensions = { ...extensionsOf(unavailable), retryAfterSeconds: RETRY_AFTER_SECONDS };
      return at(error, unavailable.message, extensions);
    }
    const errorId = crypto.randomUUID();
    log.error({ err: cause, errorId }, 'unexpected error');
    return at(error, `Something went wrong on the server; its log tells more under ${errorId}.`, {
      code: 'INTERNAL',
      errorId,
    });
  };
}

function at(error: unknown, message: string, extensions: Record<string, unknown>): GraphQLError {
  const place = error instanceof GraphQLError ? error : undefined;
  return new GraphQLError(message, {
    nodes: place?.nodes,
    source: place?.source,
    positions: place?.positions,
    path: place?.path,
    extensions,
  });
}

/** What parses forms knows the limit of a file, not what it is called. */
function nameLimit(error: GraphQLError): GraphQLError {
  if (error.extensions.code === 'REQUEST_ENTITY_TOO_LARGE' && !error.message.includes('MAX_UPLOAD_SIZE'))
    error.message += ' (MAX_UPLOAD_SIZE)';
  return error;
}
