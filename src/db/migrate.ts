/** Brings a database to this version's tables. */
import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { drizzle } from 'drizzle-orm/node-postgres';
import { migrate } from 'drizzle-orm/node-postgres/migrator';
import { Client } from 'pg';
import { AppError } from '../errors.ts';

/** The same depth below the package from `src/db` and from `dist/db`. */
const FOLDER = fileURLToPath(new URL('../../migrations', import.meta.url));
/** Advisory lock that one migrating process holds while the others wait. */
const MIGRATION_LOCK = 7_021_802;

/**
 * Applies what is missing of `migrations/`; any number of processes may do so at the same time.
 *
 * @throws AppError CONFLICT if a newer version of the server has migrated the database already.
 */
export async function migrateDatabase(connectionString: string): Promise<void> {
  const client = new Client({ connectionString, application_name: 'alignsae migrate' });
  // The query that is under way fails with the connection; without a listener the process would, too.
  client.on('error', () => undefined);
  await client.connect();
  try {
    await client.query('select pg_advisory_lock($1)', [MIGRATION_LOCK]);
    await refuseNewer(client);
    await migrate(drizzle({ client }), { migrationsFolder: FOLDER });
  } finally {
    await client.end();
  }
}

async function refuseNewer(client: Client): Promise<void> {
  const journal = JSON.parse(await readFile(`${FOLDER}/meta/_journal.json`, 'utf8')) as {
    entries: { when: number }[];
  };
  const newestKnown = Math.max(...journal.entries.map((entry) => entry.when));
  const exists = await client.query(`select to_regclass('drizzle.__drizzle_migrations') is not null as yes`);
  if (!exists.rows[0].yes) return;
  const applied = await client.query('select max(created_at) as newest from drizzle.__drizzle_migrations');
  if (Number(applied.rows[0].newest) > newestKnown) {
    throw new AppError(
      'CONFLICT',
      'the database was migrated by a newer version of the server; update this one, or use another database',
    );
  }
}
