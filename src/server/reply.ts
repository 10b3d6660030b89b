/** Answers of the HTTP edge itself, in the shape of GraphQL's errors. */
import type { ServerResponse } from 'node:http';
import type { GraphQLError } from 'graphql';

export function reply(response: ServerResponse, status: number, body: object): void {
  response.writeHead(status, { 'content-type': 'application/json', 'cache-control': 'no-store' });
  response.end(JSON.stringify(body));
}

export function failure(message: string, code: string): object {
  return { errors: [{ message, extensions: { code } }] };
}

const STATUSES: Record<string, number> = {
  INVALID_INPUT: 400,
  UNAUTHENTICATED: 401,
  FORBIDDEN: 403,
  NOT_FOUND: 404,
  CONFLICT: 409,
  UNAVAILABLE: 503,
};

/** Answers with an error that `maskError` made, by the status of its code. */
export function replyWithError(response: ServerResponse, error: Error): void {
  const { message, extensions } = error as GraphQLError;
  if (response.headersSent) return void response.destroy();
  const status = STATUSES[String(extensions.code)] ?? 500;
  if (status === 401) response.setHeader('www-authenticate', 'Bearer');
  if (status === 503) response.setHeader('retry-after', String(extensions.retryAfterSeconds ?? 1));
  reply(response, status, { errors: [{ message, extensions: { ...extensions, http: undefined } }] });
}
