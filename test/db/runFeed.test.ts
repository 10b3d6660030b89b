import { setImmediate as tick } from 'node:timers/promises';
import { sql } from 'drizzle-orm';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import type { Database, Db } from '../../src/db/client.ts';
import {
  listenForNotifications,
  type NotificationHandler,
  type Notifications,
} from '../../src/db/notifications.ts';
import { appendMetrics, type RunEventRow } from '../../src/db/queries/events.ts';
import { cancelRun, finishRun } from '../../src/db/queries/runs.ts';
import { createRunFeed, type RunFeed } from '../../src/db/runFeed.ts';
import { createTestDatabase } from '../helpers/database.ts';
import { insertQueuedRun, insertRunningRun } from '../helpers/fixtures.ts';
import { silentLog } from '../helpers/log.ts';

let database: Database;
let db: Db;
let notifications: Notifications;
let feed: RunFeed;
/** Queries of the feed for events; writers have their statements in transactions, which do not count. */
let reads = 0;

beforeAll(async () => {
  database = await createTestDatabase();
  db = database.db;
  const query = database.pool.query;
  database.pool.query = function (this: unknown, ...args: unknown[]) {
    if (JSON.stringify(args[0]).includes('metric_points')) reads += 1;
    return Reflect.apply(query, this, args);
  } as typeof query;
});
afterAll(() => database.close());
beforeEach(async () => {
  reads = 0;
  notifications = listenForNotifications(database.connectionString, silentLog);
  await notifications.ready;
  feed = createRunFeed({ db, notifications, log: silentLog });
});
afterEach(async () => {
  feed.close();
  await notifications.close();
});

type Events = AsyncIterableIterator<readonly RunEventRow[]>;
const step = (n: number) => ({ step: n, at: n, values: { loss: n } });
const seqs = (from: number, to: number) => Array.from({ length: to - from + 1 }, (_, i) => from + i);

async function take(events: Events, until: number): Promise<number[]> {
  const seen: number[] = [];
  while (seen.at(-1) !== until) {
    const { value, done } = await events.next();
    if (done) throw new Error(`the feed ended after event ${seen.at(-1)}`);
    seen.push(...value.map((event: RunEventRow) => event.seq));
  }
  return seen;
}

async function takeAll(events: Events): Promise<number[]> {
  const seen: number[] = [];
  for await (const batch of events) seen.push(...batch.map((event) => event.seq));
  return seen;
}

describe('subscribe', () => {
  test('delivers what is stored, then what comes, and ends with the run', async () => {
    const { id, claim } = await insertRunningRun(db);
    await appendMetrics(db, claim, [step(1)]);
    const events = await feed.subscribe(id, 0);
    expect(await take(events, 3)).toEqual([1, 2, 3]);
    const rest = takeAll(events);
    await appendMetrics(db, claim, [step(2), step(3)]);
    await finishRun(db, claim, {});
    expect(await rest).toEqual([4, 5, 6]);
  });

  test('resumes after a cursor, also of a run that has ended', async () => {
    const { id, claim } = await insertRunningRun(db);
    await appendMetrics(db, claim, seqs(1, 1200).map(step));
    await finishRun(db, claim, {});
    expect(await takeAll(await feed.subscribe(id, 700))).toEqual(seqs(701, 1203));
    expect(await takeAll(await feed.subscribe(id, 1203))).toEqual([]);
  });

  test('reads new rows once for all subscribers', async () => {
    const { id, claim } = await insertRunningRun(db);
    const all = await Promise.all(Array.from({ length: 50 }, () => feed.subscribe(id, 2)));
    const taken = all.map((events) => takeAll(events));
    reads = 0;
    for (let n = 1; n <= 20; n += 1) await appendMetrics(db, claim, [step(n)]);
    await finishRun(db, claim, {});
    for (const seen of await Promise.all(taken)) expect(seen).toEqual(seqs(3, 23));
    // At most one a notification, however many listen.
    expect(reads).toBeLessThanOrEqual(21);
  });

  test('lets a subscriber that does not read fall behind, and catch up from the table', async () => {
    const { id, claim } = await insertRunningRun(db);
    const slow = await feed.subscribe(id, 2);
    const fast = await feed.subscribe(id, 2);
    for (let n = 0; n < 5; n += 1) {
      await appendMetrics(db, claim, seqs(n * 400 + 1, n * 400 + 400).map(step));
      await take(fast, 2 + (n + 1) * 400);
    }
    reads = 0;
    expect(await take(slow, 2002)).toEqual(seqs(3, 2002));
    expect(reads).toBeGreaterThan(0);
    const rest = [takeAll(slow), takeAll(fast)];
    await finishRun(db, claim, {});
    expect(await Promise.all(rest)).toEqual([[2003], [2003]]);
  });

  test('can be left while it waits, and taken up anew', async () => {
    const { id } = await insertQueuedRun(db);
    const left = await feed.subscribe(id, 1);
    const waiting = left.next();
    await left.return!();
    expect(await waiting).toEqual({ done: true, value: undefined });
    const again = await feed.subscribe(id, 1);
    const rest = takeAll(again);
    await cancelRun(db, id);
    expect(await rest).toEqual([2]);
  });

  test('refuses unknown runs and numbers that were never given out', async () => {
    const { id } = await insertQueuedRun(db);
    await expect(feed.subscribe('00000000-0000-4000-8000-000000000000', 0)).rejects.toMatchObject({
      code: 'NOT_FOUND',
    });
    await expect(feed.subscribe(id, 2)).rejects.toMatchObject({
      ...{ code: 'INVALID_INPUT', path: ['after'] },
      message: expect.stringMatching(/has no event 2; its newest is 1/),
    });
  });

  test('tells subscribers of a closing feed that it was not the end', async () => {
    const { id } = await insertQueuedRun(db);
    const events = await feed.subscribe(id, 1);
    const waiting = events.next();
    await tick();
    feed.close();
    await expect(waiting).rejects.toMatchObject({ code: 'UNAVAILABLE' });
  });
});

test('a lost LISTEN connection loses no event', async () => {
  const { id, claim } = await insertRunningRun(db);
  const events = await feed.subscribe(id, 2);
  await appendMetrics(db, claim, [step(1)]);
  expect(await take(events, 3)).toEqual([3]);
  // Cut and write in one transaction: the notification finds nobody listening.
  await db.transaction(async (tx) => {
    await appendMetrics(tx, claim, [step(2), step(3)]);
    await tx.execute(sql`select pg_terminate_backend(pid, 10000) from pg_stat_activity
      where application_name = 'alignsae notifications' and datname = current_database()`);
  });
  // Nothing is written meanwhile that could bring a notification of its own.
  expect(await take(events, 5)).toEqual([4, 5]);
  await finishRun(db, claim, {});
  expect(await takeAll(events)).toEqual([6]);
});

test('a subscriber that has read ahead of its channel gets nothing twice', async () => {
  const { id, claim } = await insertRunningRun(db);
  let handler: NotificationHandler | undefined;
  const silent: Notifications = {
    ready: Promise.resolve(),
    on: (_, given) => {
      handler = given;
      return () => undefined;
    },
    close: () => Promise.resolve(),
  };
  const quiet = createRunFeed({ db, notifications: silent, log: silentLog });
  const first = await quiet.subscribe(id, 2);
  await appendMetrics(db, claim, [step(1)]);
  // Reads event 3 from the table, of which the channel has not heard.
  const ahead = await quiet.subscribe(id, 0);
  expect(await take(ahead, 3)).toEqual([1, 2, 3]);
  await appendMetrics(db, claim, [step(2)]);
  handler!.onNotify(`${id}:4`);
  expect(await take(first, 4)).toEqual([3, 4]);
  expect(await take(ahead, 4)).toEqual([4]);
  quiet.close();
});
