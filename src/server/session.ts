/**
 * The page's login: an API key becomes a cookie that no script can read, and that counts from this server's own pages
 * alone. The cookie holds the key, which is looked up with every request as a header's is, so revoking it ends both.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { AppError } from '../errors.ts';
import { type Authenticate, isUnauthenticated, remoteAddressOf } from './auth.ts';
import { failure, reply, replyWithError } from './reply.ts';

export const SESSION_PATH = '/app/session';

const COOKIE = 'alignsae_key';
const MAX_BODY_BYTES = 4096;

/** The `Authorization` of a request: its header, or the key of its cookie where one of our own pages sent it. */
export function authorizationIn(request: IncomingMessage): string | undefined {
  const { authorization, cookie } = request.headers;
  if (authorization !== undefined || cookie === undefined || !isOwnPage(request)) return authorization;
  const value = cookie
    .split(/;\s*/)
    .find((pair) => pair.startsWith(`${COOKIE}=`))
    ?.slice(COOKIE.length + 1);
  return value ? `Bearer ${decode(value)}` : undefined;
}

/**
 * To browsers a page of another port of this host is of the same site, so SameSite does not tell it from ours. They name
 * the origin with all that can change something; what only reads may come without, unless it is said to be another's.
 */
function isOwnPage({ method, headers }: IncomingMessage): boolean {
  const { origin, host } = headers;
  if (origin !== undefined) return origin === `http://${host}` || origin === `https://${host}`;
  const site = headers['sec-fetch-site'];
  return (
    (method === 'GET' || method === 'HEAD') &&
    (site === undefined || site === 'same-origin' || site === 'none')
  );
}

/** Handles `SESSION_PATH`: POST `{ "key": … }` sets the cookie, DELETE takes it away. */
export function createSessionRoute(authenticate: Authenticate) {
  return async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    if (request.method !== 'POST' && request.method !== 'DELETE') {
      response.setHeader('allow', 'POST, DELETE');
      return reply(
        response,
        405,
        failure(`Accepted are POST and DELETE, got ${request.method}.`, 'INVALID_INPUT'),
      );
    }
    if (request.headers.origin === undefined || !isOwnPage(request))
      return reply(response, 403, failure('Only a page of this server can log in.', 'FORBIDDEN'));
    if (request.method === 'DELETE') return answer(request, response, '', 0);
    try {
      const key = readKey(await readBody(request));
      await authenticate(`Bearer ${key}`, remoteAddressOf(request));
      answer(request, response, encodeURIComponent(key), null);
    } catch (error) {
      if (isUnauthenticated(error))
        return reply(response, 401, failure((error as Error).message, 'UNAUTHENTICATED'));
      if (!(error instanceof AppError)) throw error;
      replyWithError(response, Object.assign(new Error(error.message), { extensions: { code: error.code } }));
    }
  };
}

/** Until the browser is closed; over TLS it is never sent without. */
function answer(
  request: IncomingMessage,
  response: ServerResponse,
  value: string,
  maxAge: number | null,
): void {
  const parts = [`${COOKIE}=${value}`, 'Path=/', 'HttpOnly', 'SameSite=Strict'];
  if (request.headers.origin!.startsWith('https:')) parts.push('Secure');
  if (maxAge !== null) parts.push(`Max-Age=${maxAge}`);
  response.writeHead(204, { 'set-cookie': parts.join('; '), 'cache-control': 'no-store' }).end();
}

/** @throws AppError INVALID_INPUT */
async function readBody(request: IncomingMessage): Promise<string> {
  if (!/^application\/json\b/.test(request.headers['content-type'] ?? ''))
    throw new AppError('INVALID_INPUT', 'The key must be sent as JSON: content-type application/json');
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > MAX_BODY_BYTES)
      throw new AppError('INVALID_INPUT', `A login has at most ${MAX_BODY_BYTES} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString();
}

/** @throws AppError INVALID_INPUT */
function readKey(body: string): string {
  try {
    const { key } = JSON.parse(body) as { key?: unknown };
    if (typeof key === 'string' && key !== '') return key;
  } catch {
    // Said below.
  }
  throw new AppError('INVALID_INPUT', 'Accepted is { "key": "…" } with an API key');
}

function decode(value: string): string {
  try {
    return decodeURIComponent(value);
  } catch {
    return value;
  }
}
