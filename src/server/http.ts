/** The HTTP server: health, readiness, GraphQL, exports, and what every request passes before it. */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { GraphQLSchema } from 'graphql';
import type { Config } from '../config.ts';
import { AppError } from '../errors.ts';
import type { Logger } from '../log.ts';
import type { Context, Viewer } from '../schema/context.ts';
import { type Authenticate, remoteAddressOf } from './auth.ts';
import { admitBody } from './bodyLimit.ts';
import { createExportRoute, EXPORT_PATH } from './export.ts';
import { isLoopback, refuseOrigin } from './origins.ts';
import { failure, reply } from './reply.ts';
import { serveWebSocket } from './websocket.ts';
import { createApi, GRAPHQL_PATH } from './yoga.ts';

export interface ApiServerOptions {
  config: Pick<Config, 'host' | 'port' | 'limits' | 'corsOrigins'>;
  schema: GraphQLSchema;
  log: Logger;
  authenticate: Authenticate;
  createContext(viewer: Viewer, requestId: string): Context;
  /** Resolves when the server can do its work; rejects with what is missing. */
  checkReady(): Promise<void>;
}

export interface ApiServer {
  /** Such as `http://127.0.0.1:4000`. */
  url: string;
  /** Stops taking requests, ends subscriptions so that clients resume elsewhere, and waits for the rest. */
  close(timeoutMs: number): Promise<void>;
}

const REQUEST_ID = /^[\w.:-]{1,128}$/;

/** Listens as configured; resolves when the port is open. @throws AppError when the address cannot be had. */
export async function startApiServer(options: ApiServerOptions): Promise<ApiServer> {
  const { config, log } = options;
  const yoga = createApi({ ...options, limits: config.limits, corsOrigins: config.corsOrigins });
  const origins = { boundToLoopback: isLoopback(config.host), corsOrigins: config.corsOrigins };
  const answerExport = createExportRoute(options);
  const state = { draining: false };
  const streams = new Set<ServerResponse>();
  const server = createServer((request, response) => {
    handle(request, response).catch((error) => {
      log.error({ err: error }, 'request failed');
      if (!response.headersSent) response.writeHead(500);
      response.end();
    });
  });

  async function handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const requestId = takeRequestId(request);
    response.setHeader('x-request-id', requestId);
    const path = request.url?.split('?')[0];
    if (path === '/health') return reply(response, 200, { status: 'ok' });
    if (path === '/ready') return answerReady(response, state.draining, options.checkReady);
    const refusal = refuseOrigin(request, origins);
    if (refusal) return reply(response, 403, failure(refusal, 'FORBIDDEN'));
    if (path === '/') return redirect(response, GRAPHQL_PATH);
    if (path?.startsWith(EXPORT_PATH)) return answerExport(request, response, requestId);
    if (path !== GRAPHQL_PATH)
      return reply(response, 404, failure(`There is nothing at ${path}.`, 'NOT_FOUND'));
    if (!admitBody(request, response, config.limits)) return;
    const viewer = await admitViewer(request, response, options.authenticate);
    if (!viewer) return;
    if (request.headers.accept?.includes('text/event-stream')) track(streams, response);
    await yoga.handle(request, response, options.createContext(viewer, requestId));
  }

  const sockets = serveWebSocket({
    server,
    yoga,
    authenticate: options.authenticate,
    createContext: (viewer) => options.createContext(viewer, crypto.randomUUID()),
    refuse: (request) => refuseOrigin(request, origins),
    maxPayload: config.limits.bodyBytes,
  });
  const url = await listen(server, config.host, config.port);
  return {
    url,
    async close(timeoutMs) {
      state.draining = true;
      await sockets.close();
      // An SSE stream that ended in order would look finished; one that breaks off is resumed by its cursor.
      for (const stream of streams) stream.destroy();
      await closeServer(server, timeoutMs);
      await yoga.dispose();
    },
  };
}

function track(streams: Set<ServerResponse>, response: ServerResponse): void {
  streams.add(response);
  response.once('close', () => streams.delete(response));
}

function takeRequestId(request: IncomingMessage): string {
  const given = request.headers['x-request-id'];
  return typeof given === 'string' && REQUEST_ID.test(given) ? given : crypto.randomUUID();
}

/** GraphiQL's page itself needs no key; what it asks for does. */
async function admitViewer(
  request: IncomingMessage,
  response: ServerResponse,
  authenticate: Authenticate,
): Promise<Viewer | null> {
  const wantsPage = request.method === 'GET' && request.headers.accept?.includes('text/html');
  if (wantsPage || request.method === 'OPTIONS') return { scopes: [], clientId: remoteAddressOf(request) };
  try {
    return await authenticate(request.headers.authorization, remoteAddressOf(request));
  } catch (error) {
    response.setHeader('www-authenticate', 'Bearer');
    reply(response, 401, failure((error as Error).message, 'UNAUTHENTICATED'));
    return null;
  }
}

async function answerReady(
  response: ServerResponse,
  draining: boolean,
  checkReady: () => Promise<void>,
): Promise<void> {
  if (draining) return reply(response, 503, { status: 'draining' });
  try {
    await checkReady();
    reply(response, 200, { status: 'ready' });
  } catch (error) {
    reply(response, 503, {
      status: 'unavailable',
      reason: error instanceof AppError ? error.message : 'database',
    });
  }
}

function redirect(response: ServerResponse, location: string): void {
  response.writeHead(302, { location }).end();
}

function listen(server: Server, host: string, port: number): Promise<string> {
  return new Promise((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) => {
      const what = error.code === 'EADDRINUSE' ? 'the port is in use' : error.message;
      reject(new AppError('UNAVAILABLE', `Cannot listen on ${host}:${port}: ${what}. Set HOST and PORT.`));
    });
    server.listen(port, host, () => {
      const address = server.address() as AddressInfo;
      const name = address.family === 'IPv6' ? `[${address.address}]` : address.address;
      resolve(`http://${name}:${address.port}`);
    });
  });
}

function closeServer(server: Server, timeoutMs: number): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(() => server.closeAllConnections(), timeoutMs);
    server.close(() => {
      clearTimeout(timer);
      resolve();
    });
    server.closeIdleConnections();
  });
}
