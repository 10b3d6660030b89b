/** What is told and traced of every request over HTTP. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { context, propagation, SpanKind, SpanStatusCode, trace } from '@opentelemetry/api';
import { requests } from '../telemetry.ts';
import { EXPORT_PATH } from './export.ts';
import { isPagePath, PAGE_PATH } from './page.ts';
import { SDL_PATH } from './sdl.ts';
import { SESSION_PATH } from './session.ts';
import { GRAPHQL_PATH } from './yoga.ts';

/** Answers within a span, which goes on from the caller's; both end when the answer is through. */
export function observe<T>(
  request: IncomingMessage,
  response: ServerResponse,
  answer: () => Promise<T>,
): Promise<T> {
  const started = performance.now();
  const route = routeOf(request.url?.split('?')[0] ?? '');
  const from = propagation.extract(context.active(), request.headers);
  const name = `${request.method} ${route}`;
  const attributes = { 'http.request.method': request.method, 'http.route': route };
  const span = trace.getTracer('alignsae').startSpan(name, { kind: SpanKind.SERVER, attributes }, from);
  response.once('close', () => {
    const status = response.statusCode;
    requests.tell({ route, status, ms: performance.now() - started });
    span.setAttribute('http.response.status_code', status);
    if (status >= 500) span.setStatus({ code: SpanStatusCode.ERROR });
    span.end();
  });
  return context.with(trace.setSpan(from, span), answer);
}

/** One of few, whatever a client asks for. */
function routeOf(path: string): string {
  if (KNOWN.has(path)) return path;
  if (path.startsWith(EXPORT_PATH)) return EXPORT_PATH;
  return isPagePath(path) ? PAGE_PATH : 'other';
}

const KNOWN = new Set(['/', '/health', '/ready', GRAPHQL_PATH, SDL_PATH, SESSION_PATH]);
