/**
 * Opaque places in the changes of all runs. A snapshot's numbers are written as differences, for there may be as many
 * of them as there are connections to the database.
 */
import { openCursor, sealCursor } from '../cursor.ts';
import { invalidInput } from '../errors.ts';
import type { Place } from '../services/run.ts';

type Snapshot = Place['seen'];

const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

/** The cursor behind everything that `place` says. */
export function encodePlace({ seen, within }: Place): string {
  const parts = within ? [pack(seen), pack(within.until), within.runId] : [pack(seen)];
  return sealCursor(`runs:${parts.join(':')}`);
}

/** @throws AppError INVALID_INPUT */
export function decodePlace(cursor: string): Place {
  const [list, ...parts] = (openCursor(cursor) ?? '').split(':');
  const [seen, until] = parts.slice(0, 2).map(unpack);
  if (list === 'runs' && seen) {
    if (parts.length === 1) return { seen, within: null };
    if (parts.length === 3 && until && UUID.test(parts[2]!))
      return { seen, within: { until, runId: parts[2]! } };
  }
  throw invalidInput(
    ['after'],
    'after is not a cursor of runsChanged: pass one that the subscription sent, or `changesCursor` of `runs`',
  );
}

/** `xmin:xmax:xid,…` as xmin, then what is added to come to each xid, then to xmax. */
function pack(snapshot: Snapshot): string {
  const [xmin, xmax, running] = snapshot.split(':') as [string, string, string];
  const numbers = [xmin, ...running.split(',').filter(Boolean), xmax].map(BigInt);
  return numbers.map((n, i) => (n - (numbers[i - 1] ?? 0n)).toString(36)).join('.');
}

/** Null for anything that Postgres would refuse. */
function unpack(text: string): Snapshot | null {
  if (!/^[1-9a-z][0-9a-z]{0,12}(\.[0-9a-z]{1,13}){1,1000}$/.test(text)) return null;
  let sum = 0n;
  const numbers = text.split('.').map((part) => {
    sum += [...part].reduce((n, digit) => n * 36n + BigInt(Number.parseInt(digit, 36)), 0n);
    return sum;
  });
  const running = numbers.slice(1, -1);
  const xmax = numbers.at(-1)!;
  if (xmax >= 2n ** 63n || running.at(-1) === xmax) return null;
  return `${numbers[0]}:${xmax}:${running.join(',')}`;
}
