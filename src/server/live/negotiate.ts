/** Which of the ways to stream a client asks for. */
import { MULTIPART_SUBSCRIPTION, SERVER_SENT_EVENTS, type StreamFormat } from './httpStream.ts';

/** The format for this `Accept`; null when it names none in which a subscription can be sent. */
export function formatFor(accept: string | undefined): StreamFormat | null {
  const ranges = (accept ?? '*/*').toLowerCase().split(/,(?=(?:[^"]*"[^"]*")*[^"]*$)/);
  const types = ranges.map((range) => range.split(';').map((part) => part.trim()));
  const accepts = (type: string, ...parameters: RegExp[]) =>
    types.some(
      ([name, ...given]) =>
        name === type && parameters.every((wanted) => given.some((parameter) => wanted.test(parameter))),
    );
  if (accepts('text/event-stream')) return SERVER_SENT_EVENTS;
  if (accepts('multipart/mixed', /^subscriptionspec="?1\.0"?$/)) return MULTIPART_SUBSCRIPTION;
  return accepts('*/*') || accepts('text/*') ? SERVER_SENT_EVENTS : null;
}
