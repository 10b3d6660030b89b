/** Bodies are cut off at a limit, whether their length is announced or not. */
import type { IncomingMessage, ServerResponse } from 'node:http';

export interface BodyLimits {
  /** Bytes of an ordinary request. */
  bodyBytes: number;
  /** Bytes of a multipart request, which may carry a file. */
  uploadBytes: number;
}

/** Answers 413 and returns false when the announced body is too large; watches an unannounced one as it comes. */
export function admitBody(request: IncomingMessage, response: ServerResponse, limits: BodyLimits): boolean {
  const upload = request.headers['content-type']?.startsWith('multipart/form-data') ?? false;
  const limit = upload ? limits.uploadBytes : limits.bodyBytes;
  const announced = Number(request.headers['content-length'] ?? 0);
  if (announced > limit) {
    refuse(request, response, limit, upload, announced);
    return false;
  }
  if (request.headers['transfer-encoding']) watch(request, response, limit, upload);
  return true;
}

/** Counts chunks where Node hands them to the stream, which does not change how the stream flows. */
function watch(request: IncomingMessage, response: ServerResponse, limit: number, upload: boolean): void {
  const push = request.push.bind(request);
  let received = 0;
  request.push = (chunk, encoding) => {
    received += chunk === null ? 0 : chunk.length;
    if (received <= limit) return push(chunk, encoding);
    if (!response.headersSent) refuse(request, response, limit, upload, received);
    request.destroy();
    return false;
  };
}

function refuse(
  request: IncomingMessage,
  response: ServerResponse,
  limit: number,
  upload: boolean,
  got: number,
): void {
  const variable = upload ? 'MAX_UPLOAD_SIZE' : 'MAX_BODY_SIZE';
  const message = `The request body may have ${limit} bytes (${variable}), got ${got}${request.headers['content-length'] ? '' : ' or more'}.`;
  response.writeHead(413, { 'content-type': 'application/json', connection: 'close' });
  response.end(JSON.stringify({ errors: [{ message, extensions: { code: 'LIMIT_EXCEEDED' } }] }));
}
