/** Opaque places in the order of a run's events. */
import { openCursor, sealCursor } from '../cursor.ts';
import { invalidInput } from '../errors.ts';

/** The cursor behind the event with this number. */
export function encodeEventCursor(seq: number): string {
  return sealCursor(`event:${seq}`);
}

/** @throws AppError INVALID_INPUT */
export function decodeEventCursor(cursor: string): number {
  const seq = /^event:(\d{1,15})$/.exec(openCursor(cursor) ?? '')?.[1];
  if (seq !== undefined) return Number(seq);
  throw invalidInput(
    ['after'],
    'after is not a cursor of an event: pass one that the subscription sent, or `Run.cursor`',
  );
}

/** Behind which event a subscription begins: where a reconnecting `EventSource` was, or where the caller says. */
export function startOf(after: string | null | undefined, lastEventId: string | null): number {
  const cursor = lastEventId ?? after;
  return cursor == null ? 0 : decodeEventCursor(cursor);
}
