/** From a stream to a client, as fast as the client takes it and in turns with all other streams. */
import type { LiveResult, LiveStream } from './liveStream.ts';
import type { Turns } from './turns.ts';

/** Where results go: a WebSocket, or the body of an HTTP response. */
export interface Sink {
  /** Resolves when there is room for more; false when the client is gone. */
  ready(): Promise<boolean>;
  write(results: readonly LiveResult[]): void;
}

/** Events handled in one turn. */
const SLICE = 32;

/** Sends all of the stream; true when it came to its end, false when the client left before. */
export async function pump(stream: LiveStream, sink: Sink, turns: Turns): Promise<boolean> {
  try {
    for (let batch = await stream.next(); batch !== null; batch = await stream.next()) {
      for (let i = 0; i < batch.length; i += SLICE) {
        if (!(await sink.ready())) return false;
        const slice = batch.slice(i, i + SLICE);
        await turns.take(() => sendSlice(stream, sink, slice));
      }
    }
    return await sink.ready();
  } finally {
    stream.close();
  }
}

function sendSlice(stream: LiveStream, sink: Sink, events: readonly unknown[]): void | Promise<void> {
  const results = events.map((event) => stream.render(event));
  if (results.every((result): result is LiveResult => !(result instanceof Promise))) sink.write(results);
  else return Promise.all(results).then((settled) => sink.write(settled));
}
