/** What lets pages of other origins read answers that are not GraphQL, which yoga sees to itself. */
import type { IncomingMessage, ServerResponse } from 'node:http';

/** Names the caller's origin in the answer, if it is an allowed one. */
export function allowOrigin(
  { headers: { origin } }: IncomingMessage,
  response: ServerResponse,
  corsOrigins: readonly string[],
): void {
  if (corsOrigins.length === 0) return;
  response.setHeader('vary', 'origin');
  if (origin === undefined || !(corsOrigins.includes('*') || corsOrigins.includes(origin))) return;
  response.setHeader('access-control-allow-origin', origin);
  response.setHeader('access-control-expose-headers', 'content-disposition, x-request-id');
}

/** Answers a browser that asks whether it may send a key along. */
export function answerPreflight(response: ServerResponse): void {
  response.writeHead(204, {
    'access-control-allow-methods': 'GET, HEAD',
    'access-control-allow-headers': 'authorization, x-request-id',
    'access-control-max-age': '600',
  });
  response.end();
}
