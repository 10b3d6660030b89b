/** What hubs of our own answer. */
import type { IncomingMessage, ServerResponse } from 'node:http';

/** The file, or the range of it that was asked for; 404 as the hub has it where there is none. */
export function answerFile(request: IncomingMessage, response: ServerResponse, content: Buffer | null): void {
  if (!content) return void response.writeHead(404, { 'X-Error-Code': 'EntryNotFound' }).end();
  const [from, to] =
    /^bytes=(\d+)-(\d+)$/
      .exec(request.headers.range ?? '')
      ?.slice(1)
      .map(Number) ?? [];
  const part = from === undefined ? content : content.subarray(from, to! + 1);
  const range = `bytes ${from}-${to}/${content.length}`;
  const headers = { etag: '"x"', ...(from !== undefined && { 'content-range': range }) };
  response.writeHead(from === undefined ? 200 : 206, headers).end(part);
}
