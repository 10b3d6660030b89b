/** Health, readiness, GraphQL, its schema, exports, and what every request passes before it. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { AppError } from '../errors.ts';
import type { Viewer } from '../schema/context.ts';
import { admit } from './admit.ts';
import { type Authenticate, remoteAddressOf } from './auth.ts';
import { admitBody } from './bodyLimit.ts';
import { allowOrigin, answerPreflight } from './cors.ts';
import { createExportRoute, EXPORT_PATH } from './export.ts';
import type { ApiServerOptions } from './options.ts';
import { createPageRoute, isPagePath, PAGE_PATH } from './page.ts';
import { failure, reply } from './reply.ts';
import { createSdlRoute, SDL_PATH } from './sdl.ts';
import { createSessionRoute, SESSION_PATH } from './session.ts';
import { GRAPHQL_PATH, type Yoga } from './yoga.ts';

const REQUEST_ID = /^[\w.:-]{1,128}$/;

export interface RoutesOptions {
  options: ApiServerOptions;
  yoga: Yoga;
  refuseOrigin(request: IncomingMessage): string | null;
  state: { isDraining: boolean };
}

/** Answers one request. */
export function createRoutes({ options, yoga, refuseOrigin, state }: RoutesOptions) {
  const { corsOrigins, limits } = options.config;
  const answerExport = createExportRoute(options);
  const answerPage = createPageRoute();
  const answerSdl = createSdlRoute(options);
  const answerSession = createSessionRoute(options.authenticate);
  return async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const requestId = takeRequestId(request);
    response.setHeader('x-request-id', requestId);
    const path = request.url?.split('?')[0];
    if (path === '/health') return reply(response, 200, { status: 'ok' });
    if (path === '/ready') return answerReady(response, state.isDraining, options.checkReady);
    const refusal = refuseOrigin(request);
    if (refusal) return reply(response, 403, failure(refusal, 'FORBIDDEN'));
    if (path === '/') return redirect(response, wantsPage(request) ? PAGE_PATH : GRAPHQL_PATH);
    if (path === SESSION_PATH) return answerSession(request, response);
    if (path !== undefined && isPagePath(path)) return answerPage(request, response, path);
    allowOrigin(request, response, corsOrigins);
    if (path?.startsWith(EXPORT_PATH)) return answerExport(request, response, requestId);
    if (path === SDL_PATH) return answerSdl(request, response);
    if (path !== GRAPHQL_PATH)
      return reply(response, 404, failure(`There is nothing at ${path}.`, 'NOT_FOUND'));
    if (request.method === 'OPTIONS') return answerPreflight(request, response, 'GET, HEAD, POST');
    if (!admitBody(request, response, limits)) return;
    const viewer = await admitViewer(request, response, options.authenticate);
    if (!viewer) return;
    // Node leaves the body of the answer out; yoga knows only the method that has one.
    if (request.method === 'HEAD') request.method = 'GET';
    const context = options.createContext(viewer, requestId, takeLastEventId(request));
    await yoga.handle(request, response, context);
  };
}

function takeRequestId(request: IncomingMessage): string {
  const given = request.headers['x-request-id'];
  return typeof given === 'string' && REQUEST_ID.test(given) ? given : crypto.randomUUID();
}

/** What a browser's `EventSource` sends when it connects again; whole, for a part of a cursor is none. */
function takeLastEventId(request: IncomingMessage): string | null {
  const given = request.headers['last-event-id'];
  return typeof given === 'string' && given !== '' ? given : null;
}

function wantsPage({ method, headers }: IncomingMessage): boolean {
  return (method === 'GET' || method === 'HEAD') && headers.accept?.includes('text/html') === true;
}

/** GraphiQL's page itself needs no key; what it asks for does. */
async function admitViewer(
  request: IncomingMessage,
  response: ServerResponse,
  authenticate: Authenticate,
): Promise<Viewer | null> {
  if (wantsPage(request)) return { scopes: [], clientId: remoteAddressOf(request) };
  return admit(request, response, authenticate);
}

async function answerReady(
  response: ServerResponse,
  isDraining: boolean,
  checkReady: () => Promise<void>,
): Promise<void> {
  if (isDraining) return reply(response, 503, { status: 'draining' });
  try {
    await checkReady();
    reply(response, 200, { status: 'ready' });
  } catch (error) {
    reply(response, 503, {
      status: 'unavailable',
      reason: error instanceof AppError ? error.message : 'database',
    });
  }
}

function redirect(response: ServerResponse, location: string): void {
  response.writeHead(302, { location, vary: 'accept' }).end();
}
