/** Results as files: `GET /export/runs/{global id}/{name}.{jsonl|csv}`, streamed, for callers with the scope READ. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { AppError, invalidInput } from '../errors.ts';
import type { Logger } from '../log.ts';
import type { Context } from '../schema/context.ts';
import { idOf, RUN_TYPES } from '../schema/ids.ts';
import { EXPORT_FORMATS, type ExportFormat, findExport, readExport } from '../services/export.ts';
import { getRun, type Run } from '../services/run.ts';
import { createEncoder } from './exportFormat.ts';

export const EXPORT_PATH = '/export/';

/**
 * Answers a request below `EXPORT_PATH`; resolves when all is sent or the client has left.
 * @throws AppError for the caller, as long as nothing is sent.
 */
export async function streamExport(
  request: IncomingMessage,
  response: ServerResponse,
  { db, viewer, requestId }: Context,
  log: Logger,
): Promise<void> {
  if (!viewer.scopes.includes('READ'))
    throw new AppError(
      'FORBIDDEN',
      `An export needs the scope READ; this caller has ${viewer.scopes.join(', ') || 'none'}`,
    );
  const wanted = parsePath(new URL(request.url!, 'http://server').pathname);
  const run = await getRun(db, wanted.runId);
  const table = findExport(run, wanted.name);
  const encoder = createEncoder(wanted.format, table);
  response.writeHead(200, {
    'content-type': encoder.contentType,
    'content-disposition': `attachment; filename="${fileNameOf(run, wanted)}"`,
    'cache-control': 'no-store',
    'x-content-type-options': 'nosniff',
  });
  if (request.method === 'HEAD') return void response.end();
  const started = performance.now();
  const counted = { rows: 0 };
  const line = { requestId, client: viewer.clientId, runId: run.id, name: wanted.name };
  try {
    // In bytes, so that it reads ahead by one page and no more.
    await pipeline(Readable.from(textOf(), { objectMode: false }), response);
  } catch (error) {
    // The status is sent already: a connection that breaks off says that the file is not whole.
    response.destroy();
    log.warn({ ...line, ...counted, err: error }, 'export broke off');
    return;
  }
  log.info({ ...line, ...counted, ms: Math.round(performance.now() - started) }, 'export');

  async function* textOf(): AsyncGenerator<string> {
    if (encoder.head) yield encoder.head;
    for await (const rows of readExport(db, run.id, table)) {
      counted.rows += rows.length;
      yield encoder.encode(rows);
    }
  }
}

interface Wanted {
  runId: string;
  name: string;
  format: ExportFormat;
}

const SHAPE = `${EXPORT_PATH}runs/{id of a run}/{name}.{${EXPORT_FORMATS.join('|')}}`;

function parsePath(path: string): Wanted {
  const [, id, name, format] = /^\/export\/runs\/([^/]+)\/([\w-]+)\.(\w+)$/.exec(path) ?? [];
  if (id === undefined)
    throw new AppError(
      'NOT_FOUND',
      `There is nothing at ${path}: exports are at ${SHAPE}; \`Run.exports\` lists them`,
    );
  if (!isFormat(format!))
    throw invalidInput(
      ['format'],
      `"${format}" is not a format of exports; accepted is ${EXPORT_FORMATS.join(' or ')}`,
    );
  return { runId: idOf(decode(id), RUN_TYPES, ['id']), name: name!, format };
}

function isFormat(text: string): text is ExportFormat {
  return (EXPORT_FORMATS as readonly string[]).includes(text);
}

function decode(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    throw invalidInput(['id'], `"${part}" is not percent-encoded as an address must be`);
  }
}

function fileNameOf({ kind, id }: Run, { name, format }: Wanted): string {
  return `${kind.toLowerCase().replaceAll('_', '-')}-${id.slice(0, 8)}-${name}.${format}`;
}
