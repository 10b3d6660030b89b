/** Sends streams over HTTP: yoga's part ends where the response becomes a stream's. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Plugin } from 'graphql-yoga';
import type { Context } from '../../schema/context.ts';
import { failure } from '../reply.ts';
import { sendStream } from './httpStream.ts';
import { LiveStream } from './liveStream.ts';
import { formatFor } from './negotiate.ts';
import type { Turns } from './turns.ts';

export const STREAM_TYPES =
  'text/event-stream, multipart/mixed;subscriptionSpec=1.0, or over WebSocket (graphql-transport-ws) at the same address';

/** What yoga's Node adapter adds to the context. */
interface NodeContext {
  req: IncomingMessage;
  res: ServerResponse;
}

export interface HttpStreamOptions {
  turns: Turns;
  /** Responses that are streams at present. */
  open: Set<ServerResponse>;
}

export function useHttpStreams({ turns, open }: HttpStreamOptions): Plugin<Context> {
  return {
    onResultProcess({ result, serverContext, setResultProcessor }) {
      if (!(result instanceof LiveStream)) return;
      const { req, res } = serverContext as unknown as NodeContext;
      const format = formatFor(req.headers.accept);
      setResultProcessor(async (_result, { Response }) => {
        if (format === null) {
          result.close();
          return notAcceptable(Response, req.headers.accept);
        }
        open.add(res);
        res.once('close', () => open.delete(res));
        await sendStream(result, res, format, turns);
        // All is sent: the adapter finds the response ended and leaves it alone.
        return new Response(null);
      }, format?.contentType ?? 'application/json');
    },
  };
}

function notAcceptable(Type: typeof Response, accept: string | undefined): Response {
  const message = `Accept "${accept}" leaves no way to send a subscription: accepted is ${STREAM_TYPES}.`;
  return new Type(JSON.stringify(failure(message, 'NOT_ACCEPTABLE')), {
    status: 406,
    headers: { 'content-type': 'application/json' },
  });
}
