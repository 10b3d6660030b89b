/** The route of exports: methods, origins, keys and errors, as for every request, around the file. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { GraphQLError } from 'graphql';
import type { Config } from '../config.ts';
import { AppError } from '../errors.ts';
import type { Logger } from '../log.ts';
import type { Context, Viewer } from '../schema/context.ts';
import { type Authenticate, remoteAddressOf } from './auth.ts';
import { allowOrigin, answerPreflight } from './cors.ts';
import { type ExportFile, sendFile } from './exportFile.ts';
import { createMaskError } from './maskError.ts';
import { openModelExport } from './modelExport.ts';
import { failure, reply } from './reply.ts';
import { openSaeLensFile } from './saeLensExport.ts';
import { openTable } from './tableExport.ts';

export const EXPORT_PATH = '/export/';

export interface ExportRouteOptions {
  config: Pick<Config, 'corsOrigins'>;
  log: Logger;
  authenticate: Authenticate;
  createContext(viewer: Viewer, requestId: string): Context;
}

const STATUSES: Record<string, number> = {
  ...{ INVALID_INPUT: 400, UNAUTHENTICATED: 401, FORBIDDEN: 403, NOT_FOUND: 404, CONFLICT: 409 },
  UNAVAILABLE: 503,
};

/** Handles requests below `EXPORT_PATH`. */
export function createExportRoute({ config, log, authenticate, createContext }: ExportRouteOptions) {
  const mask = createMaskError(log);
  return async (request: IncomingMessage, response: ServerResponse, requestId: string): Promise<void> => {
    allowOrigin(request, response, config.corsOrigins);
    if (request.method === 'OPTIONS') return answerPreflight(response);
    if (request.method !== 'GET' && request.method !== 'HEAD') {
      response.setHeader('allow', 'GET, HEAD');
      return reply(
        response,
        405,
        failure(`Exports are read with GET, got ${request.method}.`, 'INVALID_INPUT'),
      );
    }
    try {
      const viewer = await authenticate(request.headers.authorization, remoteAddressOf(request));
      const context = createContext(viewer, requestId);
      const file = await openFile(new URL(request.url!, 'http://server').pathname, context);
      await sendFile(request, response, file, context, log);
    } catch (error) {
      const { message, extensions } = mask(error, '') as GraphQLError;
      const status = STATUSES[String(extensions.code)] ?? 500;
      if (status === 401) response.setHeader('www-authenticate', 'Bearer');
      reply(response, status, { errors: [{ message, extensions: { ...extensions, http: undefined } }] });
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
