import { sql } from 'drizzle-orm';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Database } from '../../src/db/client.ts';
import { migrateDatabase } from '../../src/db/migrate.ts';
import { createTestDatabase } from '../helpers/database.ts';

let database: Database;
beforeAll(async () => {
  database = await createTestDatabase();
});
afterAll(() => database.close());

test('clones are migrated', async () => {
  expect((await database.db.execute(sql`select count(*)::int as n from runs`)).rows).toEqual([{ n: 0 }]);
  await migrateDatabase(database.connectionString);
});
