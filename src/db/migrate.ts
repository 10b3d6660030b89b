/** Brings a database to this version's tables. */
import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { drizzle } from 'drizzle-orm/node-postgres';
import { migrate } from 'drizzle-orm/node-postgres/migrator';
import { Client } from 'pg';
import { AppError } from '../errors.ts';
import { pinSession } from './pin.ts';

/** The same depth below the package from `src/db` and from `dist/db`. */
const FOLDER = fileURLToPath(new URL('../../migrations', import.meta.url));
/** Advisory lock that one migrating process holds while the others wait. */
const MIGRATION_LOCK = 7_021_802;

/**
 * Applies what is missing of `migrations/`, in the schema that comes first in the search path; any number of processes
 * may do so at the same time.
 *
 * @throws AppError CONFLICT if a newer version of the server has migrated the database already; INVALID_INPUT if the
 *   role may not do it.
 */
export async function migrateDatabase(connectionString: string): Promise<void> {
  const client = new Client({ connectionString, application_name: 'alignsae migrate' });
  // The query that is under way fails with the connection; without a listener the process would, too.
  client.on('error', () => undefined);
  await client.connect();
  try {
    await pinSession(client, connectionString);
    await client.query('select pg_advisory_lock($1)', [MIGRATION_LOCK]);
    const ledger = await findLedger(client);
    const [applied, known] = [await newestApplied(client, ledger), await newestKnown()];
    if (applied > known) throw new AppError('CONFLICT', NEWER);
    // What is up to date needs none of the rights that migrating takes.
    if (applied < known)
      await migrate(drizzle({ client }), { migrationsFolder: FOLDER, migrationsSchema: ledger });
  } catch (error) {
    throw isDenied(error) ? new AppError('INVALID_INPUT', DENIED, { cause: error }) : error;
  } finally {
    await client.end();
  }
}

const NEWER =
  'the database was migrated by a newer version of the server; update this one, or use another database';
const DENIED =
  'DATABASE_URL: its role may not bring the tables up to date. It must own them, and have CREATE on the database: grant create on database … to …';

/** Schema of the list of applied migrations: a database may hold several installations, a schema each. */
async function findLedger(client: Client): Promise<string> {
  const { rows } = await client.query('select current_schema() as schema');
  return rows[0].schema === 'public' ? 'drizzle' : rows[0].schema;
}

/** When the newest migration that the database has was made; 0 without any. */
async function newestApplied(client: Client, ledger: string): Promise<number> {
  const table = `${client.escapeIdentifier(ledger)}.__drizzle_migrations`;
  const exists = await client.query('select to_regclass($1) is not null as yes', [table]);
  if (!exists.rows[0].yes) return 0;
  const applied = await client.query(`select max(created_at) as newest from ${table}`);
  return Number(applied.rows[0].newest);
}

async function newestKnown(): Promise<number> {
  const journal = JSON.parse(await readFile(`${FOLDER}/meta/_journal.json`, 'utf8')) as {
    entries: { when: number }[];
  };
  return Math.max(...journal.entries.map((entry) => entry.when));
}

/** SQLSTATE 42501, insufficient privilege; drizzle wraps it. */
function isDenied(error: unknown): boolean {
  if (!(error instanceof Error)) return false;
  return ('code' in error && error.code === '42501') || isDenied(error.cause);
}
