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
import { createMaskError } from './maskError.ts';
import { useRequestLog } from './useRequestLog.ts';
import { useSubscriptionLimit } from './useSubscriptionLimit.ts';

export const GRAPHQL_PATH = '/graphql';

export type Yoga = YogaServerInstance<Context, object>;

export interface YogaOptions {
  schema: GraphQLSchema;
  limits: Config['limits'];
  corsOrigins: readonly string[];
  log: Logger;
}

/** The context is made by the transports, which know the request; see `http.ts` and `websocket.ts`. */
export function createApi({ schema, limits, corsOrigins, log }: YogaOptions): Yoga {
  return createYoga<Context, object>({
    schema,
    graphqlEndpoint: GRAPHQL_PATH,
    landingPage: false,
    logging: false,
    maskedErrors: { maskError: createMaskError(log) },
    cors: corsOrigins.length > 0 ? { origin: [...corsOrigins], credentials: false } : false,
    batching: false,
    renderGraphiQL,
    graphiql: { title: 'AlignSAE', subscriptionsProtocol: 'WS', defaultQuery: WELCOME_QUERY },
    fetchAPI: createFetch({ formDataLimits: { fileSize: limits.uploadBytes, files: 3, fields: 3 } }),
    plugins: [
      maxTokensPlugin({ n: limits.tokens }) as Plugin,
      maxDepthPlugin({ n: limits.depth, flattenFragments: true }) as Plugin,
      maxAliasesPlugin({ n: limits.aliases, allowList: [] }) as Plugin,
      useSubscriptionLimit(limits.subscriptions),
      useRequestLog(log),
    ],
  });
}

const WELCOME_QUERY = `# The runs of this server, newest first. Press the play button.
query Runs {
  runs(first: 10) {
    totalCount
    edges { node { id kind status phase progress createdAt } }
  }
}
`;
