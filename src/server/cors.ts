/** What lets pages of other origins read the answers of this server. */
import type { IncomingMessage, ServerResponse } from 'node:http';

/** The longest that browsers keep what a preflight said, in seconds. */
const PREFLIGHT_SECONDS = 7200;

/** Names the caller's origin in the answer, whatever the answer will be, if it is an allowed one. */
export function allowOrigin(
  { headers: { origin } }: IncomingMessage,
  response: ServerResponse,
  corsOrigins: readonly string[],
): void {
  if (corsOrigins.length === 0) return;
  response.appendHeader('vary', 'origin');
  if (origin === undefined || !(corsOrigins.includes('*') || corsOrigins.includes(origin))) return;
  response.setHeader('access-control-allow-origin', origin);
  response.setHeader('access-control-expose-headers', 'content-disposition, x-request-id, retry-after');
}

/** Answers a browser that asks whether it may send a request with these headers. */
export function answerPreflight(request: IncomingMessage, response: ServerResponse, methods: string): void {
  response.appendHeader('vary', 'access-control-request-headers');
  response.writeHead(204, {
    'access-control-allow-methods': methods,
    'access-control-allow-headers':
      request.headers['access-control-request-headers'] ?? 'authorization, content-type, x-request-id',
    'access-control-max-age': String(PREFLIGHT_SECONDS),
  });
  response.end();
}
