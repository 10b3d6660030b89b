/** A file that is made while it is sent, as fast as the client reads. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { invalidInput } from '../errors.ts';
import type { Logger } from '../log.ts';
import type { Context } from '../schema/context.ts';
import { idOf, RUN_TYPES } from '../schema/ids.ts';

export interface ExportFile {
  /** What it is of, as the log names it. */
  of: { runId: string } | { modelId: string } | { saeId: string };
  /** Under which a browser saves it. */
  name: string;
  contentType: string;
  /** Its size, where that is known before it is made. */
  bytes?: number;
  content(): AsyncIterable<string | Uint8Array>;
}

/** Sends the file; resolves when all is sent or the client has left. */
export async function sendFile(
  request: IncomingMessage,
  response: ServerResponse,
  file: ExportFile,
  { viewer, requestId }: Context,
  log: Logger,
): Promise<void> {
  response.writeHead(200, {
    'content-type': file.contentType,
    'content-disposition': `attachment; filename="${file.name}"`,
    'cache-control': 'no-store',
    'x-content-type-options': 'nosniff',
    ...(file.bytes !== undefined && { 'content-length': file.bytes }),
  });
  if (request.method === 'HEAD') return void response.end();
  const started = performance.now();
  const line = { requestId, client: viewer.clientId, ...file.of, file: file.name };
  try {
    // In bytes, so that it reads ahead by one piece and no more.
    await pipeline(Readable.from(file.content(), { objectMode: false }), response);
    log.info({ ...line, ms: Math.round(performance.now() - started) }, 'export');
  } catch (error) {
    // The status is sent already: a connection that breaks off says that the file is not whole.
    response.destroy();
    log.warn({ ...line, err: error }, 'export broke off');
  }
}

/** The uuid in a global id of a run as it stands in an address. @throws AppError INVALID_INPUT */
export function runIdOf(part: string): string {
  return idOf(decode(part), RUN_TYPES, ['id']);
}

/** The same of a model. */
export function modelIdOf(part: string): string {
  return idOf(decode(part), ['Model'], ['id']);
}

/** The same of an SAE. */
export function saeIdOf(part: string): string {
  return idOf(decode(part), ['Sae'], ['id']);
}

function decode(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    throw invalidInput(['id'], `"${part}" is not percent-encoded as an address must be`);
  }
}
