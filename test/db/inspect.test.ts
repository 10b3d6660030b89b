import { randomBytes } from 'node:crypto';
import { sql } from 'drizzle-orm';
import { Client } from 'pg';
import { afterAll, afterEach, beforeAll, describe, expect, inject, test } from 'vitest';
import { createDatabase, type Database } from '../../src/db/client.ts';
import { withSchema } from '../../src/db/databaseUrl.ts';
import { inspectDatabase } from '../../src/db/inspect.ts';
import { migrateDatabase } from '../../src/db/migrate.ts';
import { listenForNotifications } from '../../src/db/notifications.ts';
import { cancelRun, listRuns } from '../../src/db/queries/runs.ts';
import { createRunFeed } from '../../src/db/runFeed.ts';
import { enqueueRun, listUnattendedRuns, prepareQueue } from '../../src/jobs/queue.ts';
import { withDatabase } from '../helpers/database.ts';
import { insertQueuedRun } from '../helpers/fixtures.ts';
import { silentLog } from '../helpers/log.ts';
import { type Pooler, startPooler } from '../helpers/pooler.ts';

/** A role without special rights, which logs in without a password through the socket. */
const ROLE = `inspected_${randomBytes(4).toString('hex')}`;
let admin: Client;
const databases: string[] = [];
const closers: (() => Promise<unknown>)[] = [];

beforeAll(async () => {
  admin = new Client({ connectionString: withDatabase(inject('templateUrl'), 'postgres') });
  await admin.connect();
  await admin.query(`create role ${ROLE} login`);
});
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
  for (const name of databases.splice(0)) await admin.query(`drop database ${name} with (force)`);
});
afterAll(async () => {
  await admin.query(`drop role ${ROLE}`);
  await admin.end();
});

/** A new database, and its address for the role. */
async function makeDatabase(options = `owner ${ROLE}`): Promise<string> {
  const name = `test_${randomBytes(6).toString('hex')}`;
  await admin.query(`create database ${name} ${options}`);
  databases.push(name);
  const url = new URL(withDatabase(inject('templateUrl'), name));
  url.username = ROLE;
  return url.href;
}

/** What a server does at its start, as far as the database is concerned. */
async function open(url: string): Promise<Database & { url: string }> {
  const inspected = await inspectDatabase(url);
  await migrateDatabase(inspected);
  const database = createDatabase(inspected, { log: silentLog, maxConnections: 4 });
  closers.push(() => database.close());
  await prepareQueue(database.pool, silentLog);
  return { ...database, url: inspected };
}

/** Dates, cursors, the queue and live events, through whatever lies between. */
async function expectWorking({ db, url }: Awaited<ReturnType<typeof open>>): Promise<void> {
  const before = Date.now();
  const { id } = await insertQueuedRun(db);
  await enqueueRun(db, id);
  expect(await listUnattendedRuns(db)).toEqual([]);
  const page = await listRuns(db, {}, { first: 1 });
  expect(Math.abs(page.edges[0]!.node.createdAt.getTime() - before)).toBeLessThan(600_000);
  expect((await listRuns(db, {}, { first: 1, after: page.pageInfo.endCursor })).edges).toEqual([]);
  const notifications = listenForNotifications(url, silentLog);
  const feed = createRunFeed({ db, notifications, log: silentLog });
  await notifications.ready;
  const events = await feed.subscribe(id, 1);
  await cancelRun(db, id);
  expect((await events.next()).value[0]).toMatchObject({ status: 'CANCELLED' });
  feed.close();
  await notifications.close();
}

describe('settings of a database or a role', () => {
  test.each([
    "datestyle = 'SQL, DMY'",
    "datestyle = 'German'",
    "timezone = 'Asia/Kathmandu'",
    "intervalstyle = 'sql_standard'",
    "client_encoding = 'LATIN1'",
    'standard_conforming_strings = off',
    'bytea_output = escape',
    'extra_float_digits = -15',
    "default_transaction_isolation = 'serializable'",
    'default_transaction_read_only = on',
    'statement_timeout = 1',
    'lock_timeout = 1',
  ])('%s changes nothing', async (setting) => {
    const url = await makeDatabase();
    await admin.query(`alter database ${databases[0]} set ${setting}`);
    const database = await open(url);
    await expectWorking(database);
    const { rows } =
      await database.db.execute(sql`select 0.1::float8 + 0.2::float8 as sum, '\\x00ff'::bytea as bytes,
      'a\\b' as text, '東京' as place, now() as now`);
    expect(rows[0]).toMatchObject({ sum: 0.1 + 0.2, text: 'a\\b', place: '東京' });
    expect([...(rows[0]!.bytes as Buffer)]).toEqual([0, 255]);
    expect(Date.parse(rows[0]!.now as string)).not.toBeNaN();
  });
});

describe('schemas', () => {
  test('tables land in the schema of the search path', async () => {
    const url = await makeDatabase('');
    const name = databases[0]!;
    await admin.query(`grant create on database ${name} to ${ROLE}`);
    const own = new Client({ connectionString: url });
    await own.connect();
    await own.query('create schema own');
    await own.end();
    await admin.query(`alter role ${ROLE} in database ${name} set search_path = own`);
    const database = await open(url);
    await expectWorking(database);
    const { rows } = await database.db.execute(
      sql`select distinct table_schema as schema from information_schema.tables
        where table_name in ('runs', 'metric_points', '__drizzle_migrations')`,
    );
    expect(rows).toEqual([{ schema: 'own' }]);
    // Whatever becomes of the search path.
    await admin.query(`alter role ${ROLE} in database ${name} set search_path = public`);
    const again = createDatabase(database.url, { log: silentLog });
    closers.push(() => again.close());
    expect((await listRuns(again.db, {}, {})).edges).toHaveLength(1);
    await admin.query(`alter role ${ROLE} in database ${name} reset search_path`);
  });

  test('several that the address names live side by side, and do not take each other’s runs', async () => {
    const url = await makeDatabase();
    const [first, second] = [await open(withSchema(url, 'Mixed "case"')), await open(withSchema(url, 'b'))];
    const third = await open(url);
    const { id } = await insertQueuedRun(first.db);
    await enqueueRun(first.db, id);
    expect((await listRuns(first.db, {}, {})).edges).toHaveLength(1);
    for (const other of [second, third]) {
      expect((await listRuns(other.db, {}, {})).edges).toHaveLength(0);
      await migrateDatabase(other.url);
    }
    const jobs = await first.db.execute(sql`select task_identifier as task from graphile_worker.jobs`);
    expect(jobs.rows).toEqual([{ task: 'run:Mixed "case"' }]);
  });

  test('a role that may not make tables is told what to grant', async () => {
    const url = await makeDatabase('');
    await expect(inspectDatabase(url)).rejects.toThrow(
      `DATABASE_URL: role "${ROLE}" may not make tables in schema "public": grant create on schema "public" to "${ROLE}", or name another schema with ?schema=….`,
    );
    await expect(inspectDatabase(withSchema(url, 'own'))).rejects.toThrow(
      'DATABASE_URL: names the schema "own", which does not exist, and its role may not make it; make it, and give it to the role.',
    );
  });
});

test('a database that is not UTF8 is refused with what to do', async () => {
  const url = await makeDatabase(`owner ${ROLE} encoding 'LATIN1' locale 'C' template template0`);
  await expect(inspectDatabase(url)).rejects.toThrow(
    /^DATABASE_URL: .* is LATIN1, .* must be UTF8: create database/,
  );
});

describe('what cannot be reached is said with the name of the variable', () => {
  test.each([
    ['a database that is not there', (url: string) => withDatabase(url, 'nowhere'), /no such database/],
    [
      'a socket that is not there',
      () => 'postgres://u@%2Fnowhere/db',
      /no Postgres can be reached there: .*ENOENT/,
    ],
    ['a port that is not open', () => 'postgres://u:S3cret@127.0.0.1:1/db', /reached there: .*ECONNREFUSED/],
    ['a user that is not there', (url: string) => url.replace(ROLE, 'nobody_here'), /refuses the user/],
  ])('%s', async (_, change, message) => {
    const error = (await inspectDatabase(change(await makeDatabase())).catch((e) => e)) as Error;
    expect(error).toMatchObject({ code: 'UNAVAILABLE', message: expect.stringMatching(/^DATABASE_URL: /) });
    expect(error.message).toMatch(message);
    expect(error.message).not.toContain('S3cret');
  });
});

describe('behind a pooler', () => {
  let pooler: Pooler;
  const startBefore = async (mode: 'session' | 'transaction') => {
    pooler = await startPooler(await makeDatabase(), mode);
    closers.push(() => pooler.close());
  };

  test('with sessions everything works', async () => {
    await startBefore('session');
    await expectWorking(await open(pooler.connectionString));
  });

  test('with transactions only, the start says why not', async () => {
    await startBefore('transaction');
    await expect(inspectDatabase(pooler.connectionString)).rejects.toMatchObject({
      code: 'INVALID_INPUT',
      message: expect.stringMatching(/^DATABASE_URL: .*LISTEN and advisory locks.*pool_mode = session/),
    });
  });

  test('parameters that it does not take are explained', async () => {
    await startBefore('session');
    const url = `${pooler.connectionString}?options=${encodeURIComponent('-c search_path=own')}`;
    await expect(inspectDatabase(url)).rejects.toThrow(
      /^DATABASE_URL: .*\?schema=.*unsupported startup parameter/,
    );
  });
});
