/** The HTTP server: its life, from the open port to the last answer. */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { Connections } from './connections.ts';
import { Turns } from './live/turns.ts';
import { createMaskError } from './maskError.ts';
import { observe } from './observe.ts';
import type { ApiServerOptions } from './options.ts';
import { createOriginCheck } from './origins.ts';
import { listenOn } from './port.ts';
import { replyWithError } from './reply.ts';
import { createRoutes } from './routes.ts';
import { serveWebSocket } from './socket/websocket.ts';
import { createApi } from './yoga.ts';

export interface ApiServer {
  /** Such as `http://127.0.0.1:4000`. */
  url: string;
  /** Stops taking requests, ends subscriptions so that clients resume elsewhere, and waits for the rest. */
  close(timeoutMs: number): Promise<void>;
}

/** Listens as configured; resolves when the port is open. @throws AppError when the address cannot be had. */
export async function startApiServer(options: ApiServerOptions): Promise<ApiServer> {
  const { config, log, authenticate, keys } = options;
  const shared = { mask: createMaskError(log), keys, turns: new Turns() };
  const server = createServer((request, response) => {
    answer(request, response).catch((error) => replyWithError(response, shared.mask(error, '')));
  });
  const connections = new Connections(server);
  const refuseOrigin = createOriginCheck(config, log);
  const streams = new Set<ServerResponse>();
  const yoga = createApi({
    ...options,
    ...shared,
    limits: config.limits,
    streams: { ...shared, open: streams },
  });
  const state = { isDraining: false };
  const routes = createRoutes({ options, yoga, refuseOrigin, state });

  async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    await connections.inTurn(request, response);
    if (!response.destroyed) await observe(request, response, () => routes(request, response));
  }

  const sockets = serveWebSocket({
    ...{ ...shared, server, yoga, authenticate, refuseOrigin },
    createContext: (viewer) => options.createContext(viewer, crypto.randomUUID(), null),
    maxPayload: config.limits.bodyBytes,
  });
  const url = await listenOn(server, config);
  return {
    url,
    async close(timeoutMs) {
      state.isDraining = true;
      sockets.drain();
      // An SSE stream that ended in order would look finished; one that breaks off is resumed by its cursor.
      for (const stream of streams) stream.destroy();
      await Promise.all([sockets.closed(timeoutMs), connections.drain(timeoutMs)]);
      await yoga.dispose();
    },
  };
}
