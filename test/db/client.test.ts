import { sql } from 'drizzle-orm';
import type { PoolClient } from 'pg';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { createDatabase, type Database, isUniqueViolation } from '../../src/db/client.ts';
import { ontologies } from '../../src/db/tables/index.ts';
import { whyTransient } from '../../src/db/transient.ts';
import { createTestDatabase } from '../helpers/database.ts';
import { silentLog } from '../helpers/log.ts';

let database: Database;
/** One connection only, so that a leaked one is missed at once. */
let narrow: Database;
beforeAll(async () => {
  database = await createTestDatabase();
});
afterAll(() => database.close());
beforeEach(() => {
  narrow = createDatabase(database.connectionString, { log: silentLog, maxConnections: 1 });
});
afterEach(() => narrow.close());

const answer = async () => (await narrow.db.execute(sql`select 1 as one`)).rows;
/** Cuts the line of the next client that is checked out. */
const cutNext = () =>
  narrow.pool.once('acquire', (client: PoolClient) => {
    (client as unknown as { connection: { stream: { destroy(): void } } }).connection.stream.destroy();
  });
const terminate = (pid: unknown) => database.db.execute(sql`select pg_terminate_backend(${pid}, 10000)`);

describe('a lost connection', () => {
  test('before a transaction begins costs that transaction only', async () => {
    expect(await answer()).toEqual([{ one: 1 }]);
    cutNext();
    const error = await narrow.db.transaction(async () => 'done').catch((e) => e);
    expect(whyTransient(error)).toBe('AWAY');
    expect(await answer()).toEqual([{ one: 1 }]);
  });

  test('within a transaction costs that transaction only', async () => {
    const error = await narrow.db
      .transaction(async (tx) => {
        const { rows } = await tx.execute(sql`select pg_backend_pid() as pid`);
        await terminate(rows[0]!.pid);
        await tx.execute(sql`select 1`);
      })
      .catch((e) => e);
    expect(whyTransient(error)).toBe('AWAY');
    expect(await answer()).toEqual([{ one: 1 }]);
  });

  test('while idle costs nothing', async () => {
    const { rows } = await narrow.db.execute(sql`select pg_backend_pid() as pid`);
    await terminate(rows[0]!.pid);
    await expect.poll(() => answer().catch(() => null)).toEqual([{ one: 1 }]);
  });
});

test('errors are told apart through the wrapping', async () => {
  const insert = () => database.db.insert(ontologies).values({ slug: 'twice', version: 1, name: 'x' });
  await insert();
  const error = await insert().catch((e) => e);
  expect(isUniqueViolation(error)).toBe(true);
  expect(isUniqueViolation(error, 'ontologies_slug_version')).toBe(true);
  expect(isUniqueViolation(error, 'concepts_ontology_key')).toBe(false);
  expect(whyTransient(error)).toBeNull();
  const nowhere = createDatabase('postgresql://x@%2Fnowhere/x', { log: silentLog });
  expect(whyTransient(await nowhere.db.execute(sql`select 1`).catch((e) => e))).toBe('AWAY');
  await nowhere.close();
});
