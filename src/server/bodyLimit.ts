/** Bodies are cut off at a limit, whether their length is announced or not. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { failure, reply } from './reply.ts';

export interface BodyLimits {
  /** Bytes of an ordinary request, and of what is not a file in a multipart request. */
  bodyBytes: number;
  /** Bytes of the files of a multipart request. */
  uploadBytes: number;
}

/** What is read of a refused body, so that a client that sends before it listens hears why. */
const LINGER_BYTES = 256 * 1024;

/** Answers 413 and returns false when the announced body is too large; watches an unannounced one as it comes. */
export function admitBody(request: IncomingMessage, response: ServerResponse, limits: BodyLimits): boolean {
  const isUpload = request.headers['content-type']?.startsWith('multipart/form-data') ?? false;
  const limit = isUpload ? limits.uploadBytes + limits.bodyBytes : limits.bodyBytes;
  const announced = Number(request.headers['content-length'] ?? 0);
  const explain = (got: string) =>
    isUpload
      ? `The files of a request may have ${limits.uploadBytes} bytes together (MAX_UPLOAD_SIZE), and all else ${limits.bodyBytes} (MAX_BODY_SIZE); the body has ${got}.`
      : `The request body may have ${limits.bodyBytes} bytes (MAX_BODY_SIZE), got ${got}.`;
  if (announced > limit) {
    refuse(request, response, explain(String(announced)));
    return false;
  }
  if (request.headers['transfer-encoding'])
    watch(request, limit, (received) => refuse(request, response, explain(`${received} or more`)));
  return true;
}

/** Counts chunks where Node hands them to the stream, which does not change how the stream flows. */
function watch(request: IncomingMessage, limit: number, onExcess: (received: number) => void): void {
  const push = request.push.bind(request);
  let received = 0;
  request.push = (chunk, encoding) => {
    received += chunk === null ? 0 : chunk.length;
    if (received <= limit) return push(chunk, encoding);
    request.push = () => false;
    onExcess(received);
    request.destroy();
    return false;
  };
}

function refuse(request: IncomingMessage, response: ServerResponse, message: string): void {
  if (response.headersSent) return;
  response.setHeader('connection', 'close');
  reply(response, 413, failure(message, 'LIMIT_EXCEEDED'));
  let read = 0;
  request.on('data', (chunk: Buffer) => {
    read += chunk.length;
    if (read > LINGER_BYTES) request.destroy();
  });
}
