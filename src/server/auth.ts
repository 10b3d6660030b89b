/** Who is calling: an API key's holder, or the one person on this machine. */
import type { IncomingMessage } from 'node:http';
import { GraphQLError } from 'graphql';
import type { Viewer } from '../schema/context.ts';
import type { VerifiedKey } from '../services/apiKey.ts';

export interface AuthOptions {
  /** Without a key every scope is granted; only for servers that listen on loopback. */
  allowAnonymous: boolean;
  verifyKey(key: string): Promise<VerifiedKey | null>;
}

export type Authenticate = (authorization: string | undefined, remoteAddress: string) => Promise<Viewer>;

const ANYONE_HERE = ['READ', 'RUN', 'ADMIN'] as const;

/**
 * Resolves an `Authorization` value to a viewer.
 * @throws GraphQLError UNAUTHENTICATED (HTTP 401) when a key is missing, malformed, unknown or revoked.
 */
export function createAuthenticate({ allowAnonymous, verifyKey }: AuthOptions): Authenticate {
  return async (authorization, remoteAddress) => {
    if (!authorization) {
      if (allowAnonymous) return { scopes: [...ANYONE_HERE], clientId: `anonymous@${remoteAddress}` };
      throw unauthenticated('This server needs an API key: send the header "Authorization: Bearer <key>".');
    }
    const key = /^Bearer ([\x21-\x7e]{1,512})$/i.exec(authorization)?.[1];
    if (!key) throw unauthenticated('The Authorization header must be "Bearer <key>".');
    const verified = await verifyKey(key);
    if (!verified) throw unauthenticated('This API key is unknown or was revoked.');
    return { scopes: [...verified.scopes], clientId: `key:${verified.id}`, keyId: verified.id };
  };
}

/** The key that a graphql-ws client sent with `connection_init`: `{ authorization: "Bearer …" }` in either case. */
export function authorizationOf(params: Readonly<Record<string, unknown>> | undefined): string | undefined {
  const value = params?.authorization ?? params?.Authorization;
  return typeof value === 'string' ? value : undefined;
}

/** The peer's address, which stands for the client when there is no key. */
export function remoteAddressOf(request: IncomingMessage | undefined): string {
  return request?.socket.remoteAddress ?? 'unknown';
}

/** Whether the key was at fault, rather than the database that knows it. */
export function isUnauthenticated(error: unknown): boolean {
  return error instanceof GraphQLError && error.extensions.code === 'UNAUTHENTICATED';
}

function unauthenticated(message: string): GraphQLError {
  return new GraphQLError(message, {
    extensions: { code: 'UNAUTHENTICATED', http: { status: 401, headers: { 'www-authenticate': 'Bearer' } } },
  });
}
