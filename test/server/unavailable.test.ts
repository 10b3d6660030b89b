import { randomUUID } from 'node:crypto';
import { sql } from 'drizzle-orm';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createDatabase, type Database } from '../../src/db/client.ts';
import { whyTransient } from '../../src/db/transient.ts';
import { createTestDatabase } from '../helpers/database.ts';
import { silentLog } from '../helpers/log.ts';
import { type Pooler, startPooler } from '../helpers/pooler.ts';
import { modelRunId, post, startTestApi, type TestApi } from './edge.ts';

let database: Database;
let through: Database;
let pooler: Pooler;
let api: TestApi;

beforeAll(async () => {
  database = await createTestDatabase();
  pooler = await startPooler(database.connectionString, 'session');
  through = createDatabase(pooler.connectionString, { log: silentLog });
  api = await startTestApi(through);
});
afterAll(async () => {
  await api.stop();
  await through.close();
  await database.close();
});

const RUNS = '{ runs { totalCount } }';

test('without its database the API says that it is unavailable and when to try again, and lives', async () => {
  expect((await post(api, RUNS)).body).toEqual({ data: { runs: { totalCount: 0 } } });
  await pooler.close();
  const { body } = await post(api, RUNS);
  expect(body.errors[0]).toMatchObject({
    message: 'The database cannot be reached at the moment; try again in 2 seconds.',
    extensions: { code: 'UNAVAILABLE', retryAfterSeconds: 2 },
  });
  const id = modelRunId(randomUUID());
  const exported = await fetch(`${api.url}/export/runs/${id}/metrics.csv`);
  expect([exported.status, exported.headers.get('retry-after')]).toEqual([503, '2']);
  expect((await fetch(`${api.url}/health`)).status).toBe(200);
  expect((await fetch(`${api.url}/ready`)).status).toBe(503);
});

test.each([
  ['53100', 'FULL'],
  ['53200', 'FULL'],
  ['53300', 'FULL'],
  ['57P01', 'AWAY'],
  ['08006', 'AWAY'],
  ['40001', 'BUSY'],
  ['40P01', 'BUSY'],
  ['22012', null],
  ['23505', null],
  ['57014', null],
])('Postgres’ %s is told apart, however deep it is wrapped', async (code, why) => {
  const raise = sql.raw(`do $$ begin raise exception 'x' using errcode = '${code}'; end $$`);
  const error = await database.db.transaction((tx) => tx.execute(raise)).catch((e) => e);
  expect(whyTransient(error)).toBe(why);
  expect(whyTransient(new Error('outer', { cause: error }))).toBe(why);
});

test.each([
  ['ENOSPC', 'FULL'],
  ['EDQUOT', 'FULL'],
  ['EROFS', 'FULL'],
  ['ENOENT', null],
  ['EACCES', null],
])('a file’s %s is told apart', (code, why) => {
  expect(whyTransient(Object.assign(new Error('write'), { code }))).toBe(why);
});
