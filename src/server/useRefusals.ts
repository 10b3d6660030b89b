/** Every refusal has a body that says what is accepted. */
import { GraphQLError } from 'graphql';
import type { Plugin } from 'graphql-yoga';
import { STREAM_TYPES } from './live/useHttpStreams.ts';
import { failure } from './reply.ts';

const BODY_TYPES =
  'application/json, application/graphql, application/x-www-form-urlencoded, and multipart/form-data for files';
const ANSWER_TYPES = 'application/graphql-response+json or application/json';

export function useRefusals(): Plugin {
  return {
    onParams: ({ params }) => refusePersistedQuery(params),
    onResponse({ request, response, setResponse, fetchAPI }) {
      // Proxies that collect a stream until a buffer is full are told not to.
      if (response.headers.get('content-type')?.startsWith('text/event-stream'))
        response.headers.set('x-accel-buffering', 'no');
      if (response.status < 400 || response.body !== null) return;
      const headers = new fetchAPI.Headers(response.headers);
      headers.set('content-type', 'application/json');
      const [message, code] = explain(response.status, (name) => request.headers.get(name));
      const { status, statusText } = response;
      setResponse(
        new fetchAPI.Response(JSON.stringify(failure(message, code)), { status, statusText, headers }),
      );
    },
  };
}

/**
 * Clients with a persisted-query link send a hash first; on this error they send the query.
 * @throws GraphQLError PERSISTED_QUERY_NOT_SUPPORTED
 */
export function refusePersistedQuery(params: { query?: unknown; extensions?: unknown }): void {
  const { persistedQuery } = (params?.extensions ?? {}) as { persistedQuery?: unknown };
  if (persistedQuery === undefined || typeof params.query === 'string') return;
  throw new GraphQLError('PersistedQueryNotSupported', {
    extensions: {
      code: 'PERSISTED_QUERY_NOT_SUPPORTED',
      // As Apollo's server does: clients of theirs look into the body of a 200.
      http: { status: 200, headers: { 'cache-control': 'no-store' } },
    },
  });
}

function explain(status: number, header: (name: string) => string | null): [string, string] {
  if (status === 406)
    return [
      `Accept "${header('accept')}" cannot be answered: queries and mutations are answered as ${ANSWER_TYPES}; subscriptions as ${STREAM_TYPES}.`,
      'NOT_ACCEPTABLE',
    ];
  if (status === 415)
    return [
      `Content-Type "${header('content-type') ?? ''}" cannot be read: accepted is ${BODY_TYPES}.`,
      'UNSUPPORTED_MEDIA_TYPE',
    ];
  return [`The request was refused with status ${status}.`, 'INVALID_INPUT'];
}
