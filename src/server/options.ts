/** What the server is given. */
import type { GraphQLSchema } from 'graphql';
import type { Config } from '../config.ts';
import type { Logger } from '../log.ts';
import type { Context, Viewer } from '../schema/context.ts';
import type { Authenticate } from './auth.ts';
import type { KeyWatch } from './keyWatch.ts';

export interface ApiServerOptions {
  config: Pick<Config, 'host' | 'port' | 'limits' | 'corsOrigins'>;
  schema: GraphQLSchema;
  log: Logger;
  authenticate: Authenticate;
  /** Told of keys that were revoked. */
  keys: KeyWatch;
  createContext(viewer: Viewer, requestId: string, lastEventId: string | null): Context;
  /** Resolves when the server can do its work; rejects with what is missing. */
  checkReady(): Promise<void>;
}
