/** The schema as text at `/schema.graphql`, for generators of code: what introspection tells, without a query. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { GraphQLSchema } from 'graphql';
import { renderSchema } from '../schema/schema.ts';
import { admit } from './admit.ts';
import { type Asset, createAsset, sendAsset } from './asset.ts';
import type { Authenticate } from './auth.ts';
import { answerPreflight } from './cors.ts';
import { failure, reply } from './reply.ts';
import { compress } from './useCompression.ts';

export const SDL_PATH = '/schema.graphql';

export interface SdlRouteOptions {
  schema: GraphQLSchema;
  authenticate: Authenticate;
}

/** Handles `SDL_PATH`; a key is needed where introspection needs one. */
export function createSdlRoute({ schema, authenticate }: SdlRouteOptions) {
  let asset: Promise<Asset> | null = null;
  return async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    if (request.method === 'OPTIONS') return answerPreflight(request, response, 'GET, HEAD');
    if (request.method !== 'GET' && request.method !== 'HEAD') {
      response.setHeader('allow', 'GET, HEAD');
      const message = `The schema is read with GET, got ${request.method}.`;
      return reply(response, 405, failure(message, 'INVALID_INPUT'));
    }
    if (!(await admit(request, response, authenticate))) return;
    asset ??= render(schema);
    sendAsset(request, response, await asset, {
      'cache-control': 'no-cache',
      'x-content-type-options': 'nosniff',
    });
  };
}

async function render(schema: GraphQLSchema): Promise<Asset> {
  const text = renderSchema(schema);
  const [br, gzip] = await Promise.all([compress('br', text), compress('gzip', text)]);
  return createAsset('text/plain; charset=utf-8', Buffer.from(text), { br, gzip });
}
