/** The route of exports: methods, origins, keys and errors, as for every request, around the file. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { AppError } from '../errors.ts';
import type { Logger } from '../log.ts';
import type { Context, Viewer } from '../schema/context.ts';
import { type Authenticate, remoteAddressOf } from './auth.ts';
import { answerPreflight } from './cors.ts';
import { type ExportFile, sendFile } from './exportFile.ts';
import type { KeyWatch } from './keyWatch.ts';
import { createMaskError } from './maskError.ts';
import { openModelExport } from './modelExport.ts';
import { failure, reply, replyWithError } from './reply.ts';
import { openSaeLensFile } from './saeLensExport.ts';
import { authorizationIn } from './session.ts';
import { openTable } from './tableExport.ts';

export const EXPORT_PATH = '/export/';

export interface ExportRouteOptions {
  log: Logger;
  authenticate: Authenticate;
  keys: KeyWatch;
  createContext(viewer: Viewer, requestId: string, lastEventId: null): Context;
}

/** Handles requests below `EXPORT_PATH`. */
export function createExportRoute({ log, authenticate, keys, createContext }: ExportRouteOptions) {
  const mask = createMaskError(log);
  return async (request: IncomingMessage, response: ServerResponse, requestId: string): Promise<void> => {
    if (request.method === 'OPTIONS') return answerPreflight(request, response, 'GET, HEAD');
    if (request.method !== 'GET' && request.method !== 'HEAD') {
      response.setHeader('allow', 'GET, HEAD');
      return reply(
        response,
        405,
        failure(`Exports are read with GET, got ${request.method}.`, 'INVALID_INPUT'),
      );
    }
    try {
      const viewer = await authenticate(authorizationIn(request), remoteAddressOf(request));
      const context = createContext(viewer, requestId, null);
      response.once(
        'close',
        keys.watch(viewer, () => response.destroy()),
      );
      const file = await openFile(new URL(request.url!, 'http://server').pathname, context);
      await sendFile(request, response, file, context, log);
    } catch (error) {
      replyWithError(response, mask(error, ''));
    }
  };
}

/** @throws AppError FORBIDDEN without the scope READ; NOT_FOUND where there is no file. */
async function openFile(path: string, context: Context): Promise<ExportFile> {
  const { scopes } = context.viewer;
  if (!scopes.includes('READ'))
    throw new AppError(
      'FORBIDDEN',
      `An export needs the scope READ; this caller has ${scopes.join(', ') || 'none'}`,
    );
  const file =
    (await openSaeLensFile(path, context)) ??
    (await openModelExport(path, context)) ??
    (await openTable(path, context));
  if (file) return file;
  throw new AppError(
    'NOT_FOUND',
    `There is nothing at ${path}: exports are at ${EXPORT_PATH}runs/{id of a run}/{name}.{jsonl|csv}; \`Run.exports\` and \`Model.files\` list them`,
  );
}
