/** The raw connections below HTTP: none may end the process, fill the memory, or hold up a shutdown. */
import { type IncomingMessage, type Server, type ServerResponse, STATUS_CODES } from 'node:http';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { failure, reply } from './reply.ts';

/** A client that takes nothing of what waits for it for `stallMs` is cut; looked for every `lookMs`. */
const PATIENCE = { stallMs: 30_000, lookMs: 5000 };
/** What a request may still take to arrive when the server shuts down. */
const ARRIVAL_MS = 2000;

interface Exchange {
  request: IncomingMessage;
  response: ServerResponse;
}

export class Connections {
  readonly #exchanges = new Set<Exchange>();
  /** By connection, when its last response is through. */
  readonly #previous = new WeakMap<Duplex, Promise<void>>();
  /** By connection: how many bytes the client has taken, and since when no more. */
  readonly #progress = new WeakMap<Duplex, { taken: string; since: number }>();
  #isDraining = false;

  constructor(
    private readonly server: Server,
    private readonly patience = PATIENCE,
  ) {
    server.on('connection', (socket) => socket.on('error', () => undefined));
    server.on('clientError', refuseConnection);
    const looking = setInterval(() => this.#cutStalled(), patience.lookMs).unref();
    server.once('close', () => clearInterval(looking));
  }

  /**
   * Resolves when all earlier requests of the same connection have been answered: a client may send many in one go and
   * read none of the answers.
   */
  async inTurn(request: IncomingMessage, response: ServerResponse): Promise<void> {
    request.on('error', () => undefined);
    response.on('error', () => undefined);
    const exchange = { request, response };
    this.#exchanges.add(exchange);
    if (this.#isDraining) response.shouldKeepAlive = false;
    const through = new Promise<void>((resolve) => {
      response.once('close', () => {
        this.#exchanges.delete(exchange);
        if (this.#isDraining) this.server.closeIdleConnections();
        resolve();
      });
    });
    const previous = this.#previous.get(request.socket);
    this.#previous.set(request.socket, through);
    await previous;
  }

  /** Waits for answers that are in work, up to `timeoutMs`; requests that have not arrived by then need not. */
  async drain(timeoutMs: number): Promise<void> {
    this.#isDraining = true;
    for (const { response } of this.#exchanges) response.shouldKeepAlive = false;
    const arrival = setTimeout(() => this.#refuseUnarrived(), Math.min(ARRIVAL_MS, timeoutMs));
    const end = setTimeout(() => this.server.closeAllConnections(), timeoutMs);
    await new Promise<void>((resolve) => {
      this.server.close(() => resolve());
      this.server.closeIdleConnections();
    });
    clearTimeout(arrival);
    clearTimeout(end);
  }

  #cutStalled(): void {
    const now = performance.now();
    for (const { request } of this.#exchanges) {
      const { socket } = request;
      const taken = takenBy(socket);
      const before = this.#progress.get(socket);
      if (socket.writableLength === 0 || before?.taken !== taken)
        this.#progress.set(socket, { taken, since: now });
      else if (now - before.since > this.patience.stallMs) socket.destroy();
    }
  }

  #refuseUnarrived(): void {
    for (const { request, response } of this.#exchanges) {
      if (request.complete || response.headersSent) continue;
      response.setHeader('retry-after', '1');
      reply(response, 503, failure('The server is shutting down: send the request again.', 'UNAVAILABLE'));
      response.once('finish', () => request.destroy());
    }
  }
}

/** What was wrong with bytes that are no request, for those who can read it. */
function refuseConnection(error: NodeJS.ErrnoException, socket: Duplex): void {
  if (error.code === 'ECONNRESET' || !socket.writable) return void socket.destroy();
  const [status, message] = explain(error);
  const body = JSON.stringify(failure(message, 'INVALID_INPUT'));
  const head = [
    `HTTP/1.1 ${status} ${STATUS_CODES[status]}`,
    'Content-Type: application/json',
    `Content-Length: ${Buffer.byteLength(body)}`,
    'Connection: close',
  ];
  socket.end(`${head.join('\r\n')}\r\n\r\n${body}`, () => socket.destroy());
}

function explain({ code, message }: NodeJS.ErrnoException): [number, string] {
  if (code === 'HPE_HEADER_OVERFLOW') return [431, 'The headers of the request are too large.'];
  if (code === 'ERR_HTTP_REQUEST_TIMEOUT') return [408, 'The request did not arrive in time.'];
  return [400, `This is not a request of HTTP/1.1: ${message}.`];
}

/** Changes whenever the client takes something, not when more is written. */
function takenBy(socket: Socket): string {
  // Of a large piece in flight only libuv's own count tells how far it has come, as Node's timeouts know, too.
  const inFlight = (socket as { _handle?: { writeQueueSize?: number } | null })._handle?.writeQueueSize ?? 0;
  return `${socket.bytesWritten - socket.writableLength} ${inFlight}`;
}
