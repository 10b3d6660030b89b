/** Who asks, by the key or the session that a request brings. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Viewer } from '../schema/context.ts';
import { type Authenticate, isUnauthenticated, remoteAddressOf } from './auth.ts';
import { failure, reply } from './reply.ts';
import { authorizationIn } from './session.ts';

/** Null where a key is needed and there is none that is valid, which the caller has then been told. */
export async function admit(
  request: IncomingMessage,
  response: ServerResponse,
  authenticate: Authenticate,
): Promise<Viewer | null> {
  try {
    return await authenticate(authorizationIn(request), remoteAddressOf(request));
  } catch (error) {
    if (!isUnauthenticated(error)) throw error;
    response.setHeader('www-authenticate', 'Bearer');
    reply(response, 401, failure((error as Error).message, 'UNAUTHENTICATED'));
    return null;
  }
}
