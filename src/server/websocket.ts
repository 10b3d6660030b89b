/** GraphQL over WebSocket (the graphql-transport-ws protocol) on the HTTP server's own port. */
import type { IncomingMessage, Server } from 'node:http';
import type { Duplex } from 'node:stream';
import type { ExecutionArgs } from 'graphql';
import { CloseCode } from 'graphql-ws';
import { useServer } from 'graphql-ws/use/ws';
import { WebSocketServer } from 'ws';
import type { Context, Viewer } from '../schema/context.ts';
import { type Authenticate, authorizationOf, remoteAddressOf } from './auth.ts';
import { GRAPHQL_PATH, type Yoga } from './yoga.ts';

/** RFC 6455: the endpoint is going away; clients reconnect and resume by cursor. */
const GOING_AWAY = 1001;

export interface WebSocketOptions {
  server: Server;
  yoga: Yoga;
  authenticate: Authenticate;
  createContext(viewer: Viewer): Context;
  /** Null when this handshake may go on; else why not. */
  refuse(request: IncomingMessage): string | null;
  maxPayload: number;
}

/** Serves subscriptions until `close`, which ends every connection in order. */
export function serveWebSocket(options: WebSocketOptions): { close(): Promise<void> } {
  const sockets = new WebSocketServer({ noServer: true, maxPayload: options.maxPayload });
  const onUpgrade = (request: IncomingMessage, socket: Duplex, head: Buffer) => {
    const path = request.url?.split('?')[0];
    const refusal = path === GRAPHQL_PATH ? options.refuse(request) : `There is no WebSocket at ${path}.`;
    if (refusal === null)
      sockets.handleUpgrade(request, socket, head, (ws) => sockets.emit('connection', ws, request));
    else refuseUpgrade(socket, path === GRAPHQL_PATH ? '403 Forbidden' : '404 Not Found', refusal);
  };
  options.server.on('upgrade', onUpgrade);
  const graphql = useGraphQL(sockets, options);
  return {
    async close() {
      options.server.off('upgrade', onUpgrade);
      for (const client of sockets.clients) client.close(GOING_AWAY, 'The server is shutting down');
      await graphql.dispose();
    },
  };
}

interface Extra extends Record<PropertyKey, unknown> {
  viewer: Viewer;
}

function useGraphQL(sockets: WebSocketServer, { yoga, authenticate, createContext }: WebSocketOptions) {
  return useServer<Record<string, unknown>, Extra>(
    {
      async onConnect({ connectionParams, extra }) {
        const header = extra.request.headers.authorization ?? authorizationOf(connectionParams);
        try {
          extra.viewer = await authenticate(header, remoteAddressOf(extra.request));
        } catch {
          extra.socket.close(CloseCode.Unauthorized, 'Unauthorized');
          return false;
        }
        return true;
      },
      async onSubscribe({ extra }, _id, params) {
        const context = createContext(extra.viewer!);
        const enveloped = yoga.getEnveloped({ ...context, request: extra.request, params } as never);
        const args: ExecutionArgs & { rootValue: unknown } = {
          schema: enveloped.schema,
          operationName: params.operationName,
          document: enveloped.parse(params.query),
          variableValues: params.variables,
          contextValue: await enveloped.contextFactory(),
          rootValue: { execute: enveloped.execute, subscribe: enveloped.subscribe },
        };
        const errors = enveloped.validate(args.schema, args.document);
        return errors.length > 0 ? errors : args;
      },
      execute: (args) => (args.rootValue as Executors).execute(args as ExecutionArgs),
      subscribe: (args) => (args.rootValue as Executors).subscribe(args as ExecutionArgs),
    },
    sockets,
  );
}

interface Executors {
  execute(args: ExecutionArgs): never;
  subscribe(args: ExecutionArgs): never;
}

function refuseUpgrade(socket: Duplex, status: string, message: string): void {
  const head = `HTTP/1.1 ${status}\r\nContent-Type: text/plain\r\nContent-Length: ${Buffer.byteLength(message)}`;
  socket.end(`${head}\r\nConnection: close\r\n\r\n${message}`);
}
