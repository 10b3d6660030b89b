/** A text that stays the same, compressed once, sent as the client can read it or not at all if it has it already. */
import { createHash } from 'node:crypto';
import type { IncomingMessage, OutgoingHttpHeaders, ServerResponse } from 'node:http';
import { chooseEncoding } from './useCompression.ts';

export interface Asset {
  type: string;
  etag: string;
  plain: Buffer;
  br: Buffer | null;
  gzip: Buffer | null;
}

/** `packed` is the same bytes, compressed. */
export function createAsset(
  type: string,
  plain: Buffer,
  packed: { br: Buffer | null; gzip: Buffer | null },
): Asset {
  const etag = `"${createHash('sha256').update(plain).digest('base64url')}"`;
  return { type, etag, plain, ...packed };
}

/** Answers GET and HEAD; `headers` say how long it may be kept. */
export function sendAsset(
  request: IncomingMessage,
  response: ServerResponse,
  asset: Asset,
  headers: OutgoingHttpHeaders,
): void {
  response.appendHeader('vary', 'accept-encoding');
  const all = { ...headers, etag: asset.etag };
  if (request.headers['if-none-match'] === asset.etag) return void response.writeHead(304, all).end();
  const encoding = chooseEncoding(request.headers['accept-encoding']?.toString() ?? null);
  const compressed = encoding && asset[encoding];
  const body = compressed || asset.plain;
  response.writeHead(200, {
    ...all,
    'content-type': asset.type,
    'content-length': body.length,
    ...(compressed ? { 'content-encoding': encoding } : {}),
  });
  response.end(request.method === 'HEAD' ? undefined : body);
}
