/** GraphQL over WebSocket (the graphql-transport-ws protocol) on the HTTP server's own port. */
import type { IncomingMessage, Server } from 'node:http';
import type { Duplex } from 'node:stream';
import type { ExecutionArgs, ExecutionResult, GraphQLError } from 'graphql';
import {
  CloseCode,
  handleProtocols,
  makeServer,
  type Server as Protocol,
  type SubscribePayload,
} from 'graphql-ws';
import { type WebSocket, WebSocketServer } from 'ws';
import type { Context, Viewer } from '../../schema/context.ts';
import { type Authenticate, authorizationOf, isUnauthenticated, remoteAddressOf } from '../auth.ts';
import type { KeyWatch } from '../keyWatch.ts';
import { LiveStream } from '../live/liveStream.ts';
import { pump } from '../live/pump.ts';
import type { Mask } from '../live/render.ts';
import type { Turns } from '../live/turns.ts';
import { authorizationIn } from '../session.ts';
import type { Yoga } from '../yoga.ts';
import { Connection } from './connection.ts';
import { answerRefusal, refuseUpgrade } from './upgrade.ts';

/** RFC 6455's registry: the server cannot do it now. */
const TRY_AGAIN_LATER = 1013;

export interface WebSocketOptions {
  server: Server;
  yoga: Yoga;
  turns: Turns;
  keys: KeyWatch;
  mask: Mask;
  authenticate: Authenticate;
  createContext(viewer: Viewer): Context;
  /** Null when this page may call; else why not. */
  refuseOrigin(request: IncomingMessage): string | null;
  maxPayload: number;
}

export interface WebSockets {
  /** Takes no more operations; each socket closes when those in work have been answered. */
  drain(): void;
  /** Resolves when no socket is left; those that are after `timeoutMs` are cut. */
  closed(timeoutMs: number): Promise<void>;
}

/** Serves WebSockets until they are drained. */
export function serveWebSocket(options: WebSocketOptions): WebSockets {
  const sockets = new WebSocketServer({
    noServer: true,
    maxPayload: options.maxPayload,
    // Frames are also written past it.
    perMessageDeflate: false,
    handleProtocols: (protocols) => handleProtocols(protocols),
  });
  const protocol = createProtocol(options);
  const open = new Set<Connection>();
  let onEmpty: () => void = () => undefined;
  const onUpgrade = (request: IncomingMessage, socket: Duplex, head: Buffer) => {
    // Node has let go of the socket: from here on nobody else listens, and an error would end the process.
    socket.on('error', () => socket.destroy());
    const refusal = refuseUpgrade(request, options.refuseOrigin);
    if (refusal !== null) return answerRefusal(socket, refusal);
    sockets.handleUpgrade(request, socket, head, (ws) => {
      const connection = openConnection(protocol, ws, socket, request);
      open.add(connection);
      ws.once('close', () => {
        open.delete(connection);
        if (open.size === 0) onEmpty();
      });
    });
  };
  options.server.on('upgrade', onUpgrade);
  return {
    drain() {
      options.server.off('upgrade', onUpgrade);
      for (const connection of open) connection.drain();
    },
    closed(timeoutMs) {
      if (open.size === 0) return Promise.resolve();
      return new Promise((resolve) => {
        const timer = setTimeout(() => {
          for (const connection of open) connection.terminate();
        }, timeoutMs);
        onEmpty = () => {
          clearTimeout(timer);
          resolve();
        };
      });
    },
  };
}

/** What the protocol's hooks know of a socket. */
interface Extra {
  request: IncomingMessage;
  connection: Connection;
  viewer: Viewer | null;
  /** Stops watching the key. */
  forget(): void;
}

type Params = Record<string, unknown>;

function openConnection(
  protocol: Protocol<Extra>,
  ws: WebSocket,
  carrier: Duplex,
  request: IncomingMessage,
): Connection {
  let receive: (message: string) => Promise<void> = async () => undefined;
  const connection = new Connection(ws, carrier, (message) => receive(message));
  const extra: Extra = { request, connection, viewer: null, forget: () => undefined };
  const closed = protocol.opened(
    {
      protocol: ws.protocol,
      send: (message) => connection.send(message),
      close: (code, reason) => connection.close(code ?? CloseCode.InternalServerError, reason ?? ''),
      onMessage(callback) {
        receive = callback;
      },
    },
    extra,
  );
  ws.once('close', (code, reason) => {
    extra.forget();
    void closed(code, String(reason));
  });
  return connection;
}

/** An operation, with what its hooks must know. */
interface SocketArgs extends ExecutionArgs {
  run: {
    id: string;
    connection: Connection;
    execute(args: ExecutionArgs): Promise<ExecutionResult>;
    subscribe(args: ExecutionArgs): Promise<LiveStream | ExecutionResult>;
  };
}

function createProtocol(options: WebSocketOptions): Protocol<Extra> {
  const failed = (error: unknown): ExecutionResult => ({
    errors: [options.mask(error, '') as GraphQLError],
  });
  return makeServer<Params, Extra>({
    onConnect: ({ connectionParams, extra }) => admit(connectionParams, extra, options),
    async onSubscribe({ extra }, id, params) {
      try {
        return await prepare(options, extra, id, params);
      } catch (error) {
        return [options.mask(error, '') as GraphQLError];
      }
    },
    execute: (args) => (args as SocketArgs).run.execute(args as ExecutionArgs).catch(failed) as never,
    async subscribe(args) {
      const { run } = args as SocketArgs;
      const stream = await run.subscribe(args as ExecutionArgs).catch(failed);
      if (!(stream instanceof LiveStream)) return stream as never;
      run.connection.countAsStream(run.id);
      return sending(stream, run, options.turns) as never;
    },
  });
}

async function admit(
  params: Readonly<Params> | undefined,
  extra: Extra,
  { authenticate, keys }: WebSocketOptions,
): Promise<boolean> {
  const header =
    extra.request.headers.authorization ?? authorizationOf(params) ?? authorizationIn(extra.request);
  try {
    extra.viewer = await authenticate(header, remoteAddressOf(extra.request));
  } catch (error) {
    if (isUnauthenticated(error)) extra.connection.close(CloseCode.Unauthorized, 'Unauthorized');
    // Not the client's fault: it may try again, which after 4401 it would not.
    else extra.connection.close(TRY_AGAIN_LATER, 'Keys cannot be checked now');
    return false;
  }
  extra.forget = keys.watch(extra.viewer, ({ message }) =>
    extra.connection.close(CloseCode.Unauthorized, message),
  );
  return true;
}

/** Parses and validates as HTTP requests are. @throws GraphQLError */
async function prepare(
  { yoga, createContext }: WebSocketOptions,
  { connection, viewer }: Extra,
  id: string,
  params: SubscribePayload,
): Promise<SocketArgs | readonly GraphQLError[]> {
  // Without the request, which is a GET: yoga would refuse mutations.
  const enveloped = yoga.getEnveloped({ ...createContext(viewer!), params } as never);
  const document = enveloped.parse(params.query);
  const errors: readonly GraphQLError[] = enveloped.validate(enveloped.schema, document);
  if (errors.length > 0) return errors;
  return {
    schema: enveloped.schema,
    document,
    operationName: params.operationName,
    variableValues: params.variables,
    contextValue: await enveloped.contextFactory(),
    run: {
      id,
      connection,
      execute: async (args) => enveloped.execute(args) as never,
      subscribe: async (args) => enveloped.subscribe(args) as never,
    },
  };
}

/**
 * What graphql-ws iterates: nothing comes out of it, for the results go to the socket directly, as text that is shared
 * with other subscribers; it ends when the stream has.
 */
function sending(
  stream: LiveStream,
  { id, connection }: SocketArgs['run'],
  turns: Turns,
): AsyncIterableIterator<never, void> {
  const end = { done: true, value: undefined } as const;
  return {
    [Symbol.asyncIterator]() {
      return this;
    },
    async next() {
      await pump(stream, connection.sinkOf(id), turns);
      return end;
    },
    async return() {
      stream.close();
      return end;
    },
  };
}
