import { randomBytes } from 'node:crypto';
import { Client } from 'pg';
import { inject } from 'vitest';
import { createDatabase, type Database } from '../../src/db/client.ts';
import { silentLog } from './log.ts';

/**
 * A database of its own for one test file, cloned from the migrated template in some milliseconds. `close`
 * drops it, and fails if a pool client was not released. Call it in `beforeAll`, `close` in `afterAll`.
 */
export async function createTestDatabase(): Promise<Database> {
  const templateUrl = inject('templateUrl');
  const template = new URL(templateUrl).pathname.slice(1);
  const name = `test_${randomBytes(6).toString('hex')}`;
  await asAdmin(templateUrl, `create database ${name} template ${template}`);
  const database = createDatabase(withDatabase(templateUrl, name), { log: silentLog, applicationName: name });
  return {
    ...database,
    async close() {
      const { totalCount, idleCount } = database.pool;
      await asAdmin(templateUrl, `drop database if exists ${name} with (force)`);
      await database.close();
      if (totalCount !== idleCount) {
        throw new Error(`${totalCount - idleCount} database client(s) were not released`);
      }
    },
  };
}

/** The same server, another database. */
export function withDatabase(connectionString: string, name: string): string {
  return connectionString.replace(/\/[^/]*$/, `/${name}`);
}

async function asAdmin(connectionString: string, statement: string): Promise<void> {
  const client = new Client({ connectionString: withDatabase(connectionString, 'postgres') });
  await client.connect();
  try {
    await client.query(statement);
  } finally {
    await client.end();
  }
}
