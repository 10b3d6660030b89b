/** GraphQL over HTTP and SSE: limits, masking and GraphiQL, as plugins around the schema. */
import { maxAliasesPlugin } from '@escape.tech/graphql-armor-max-aliases';
import { maxDepthPlugin } from '@escape.tech/graphql-armor-max-depth';
import { maxTokensPlugin } from '@escape.tech/graphql-armor-max-tokens';
import { renderGraphiQL } from '@graphql-yoga/render-graphiql';
import { createFetch } from '@whatwg-node/fetch';
import type { GraphQLSchema } from 'graphql';
import { createYoga, type Plugin, type YogaServerInstance } from 'graphql-yoga';
import type { Config } from '../config.ts';
import type { Logger } from '../log.ts';
import type { Context } from '../schema/context.ts';
import type { KeyWatch } from './keyWatch.ts';
import type { Mask } from './live/render.ts';
import { type HttpStreamOptions, useHttpStreams } from './live/useHttpStreams.ts';
import { useLiveStreams } from './live/useLiveStreams.ts';
import { useCompiled } from './useCompiled.ts';
import { useCompression } from './useCompression.ts';
import { useRefusals } from './useRefusals.ts';
import { useRequestLog } from './useRequestLog.ts';
import { WELCOME_QUERY } from './welcome.ts';

export const GRAPHQL_PATH = '/graphql';

export type Yoga = YogaServerInstance<Context, object>;

export interface YogaOptions {
  schema: GraphQLSchema;
  limits: Config['limits'];
  log: Logger;
  mask: Mask;
  keys: KeyWatch;
  streams: HttpStreamOptions;
}

/** The context is made by the transports, which know the request; see `http.ts` and `socket/websocket.ts`. */
export function createApi({ schema, limits, log, mask, keys, streams }: YogaOptions): Yoga {
  return createYoga<Context, object>({
    schema,
    graphqlEndpoint: GRAPHQL_PATH,
    landingPage: false,
    logging: false,
    maskedErrors: { maskError: mask },
    // Origins are seen to before, for every answer alike; and so are the sizes of bodies.
    cors: false,
    maxRequestBodySize: false,
    batching: false,
    renderGraphiQL,
    graphiql: { title: 'AlignSAE', subscriptionsProtocol: 'WS', defaultQuery: WELCOME_QUERY },
    fetchAPI: createFetch({ formDataLimits: { fileSize: limits.uploadBytes, files: 3, fields: 3 } }),
    plugins: [
      maxTokensPlugin({ n: limits.tokens }) as Plugin,
      maxDepthPlugin({ n: limits.depth, flattenFragments: true }) as Plugin,
      maxAliasesPlugin({ n: limits.aliases, allowList: [] }) as Plugin,
      useCompiled(),
      useRefusals(),
      useCompression(),
      useLiveStreams({ limit: limits.subscriptions, log, mask, keys }),
      useHttpStreams(streams),
      useRequestLog(log),
    ],
  });
}
