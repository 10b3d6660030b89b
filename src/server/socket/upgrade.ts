/** Requests for another protocol: WebSocket where it is served, a refusal with its reason elsewhere. */
import { type IncomingMessage, STATUS_CODES } from 'node:http';
import type { Duplex } from 'node:stream';
import { failure } from '../reply.ts';
import { GRAPHQL_PATH } from '../yoga.ts';

export interface Refusal {
  status: number;
  message: string;
  code: string;
}

/** Null when this handshake may go on. */
export function refuseUpgrade(
  request: IncomingMessage,
  refuseOrigin: (request: IncomingMessage) => string | null,
): Refusal | null {
  const path = request.url?.split('?')[0];
  const protocol = request.headers.upgrade ?? '';
  if (protocol.toLowerCase() !== 'websocket')
    return {
      status: 400,
      code: 'INVALID_INPUT',
      message: `Upgrade "${protocol}" is not served: accepted is websocket at ${GRAPHQL_PATH}.`,
    };
  if (path !== GRAPHQL_PATH)
    return {
      status: 404,
      code: 'NOT_FOUND',
      message: `There is no WebSocket at ${path}; it is at ${GRAPHQL_PATH}.`,
    };
  const reason = refuseOrigin(request);
  return reason === null ? null : { status: 403, code: 'FORBIDDEN', message: reason };
}

/** Answers on the bare socket, for which no response exists any more. */
export function answerRefusal(socket: Duplex, { status, message, code }: Refusal): void {
  const body = JSON.stringify(failure(message, code));
  const head = [
    `HTTP/1.1 ${status} ${STATUS_CODES[status]}`,
    'Content-Type: application/json',
    `Content-Length: ${Buffer.byteLength(body)}`,
    'Connection: close',
  ];
  if (!socket.writable) return void socket.destroy();
  socket.end(`${head.join('\r\n')}\r\n\r\n${body}`, () => socket.destroy());
}
