/** What the start asks of the database, so that what it lacks is said before anything is written to it. */
import { Client } from 'pg';
import { AppError } from '../errors.ts';
import { schemaOf, withSchema } from './databaseUrl.ts';
import { pinSession } from './pin.ts';

const OLDEST_VERSION = 140_000;
const CONNECT_MS = 10_000;
interface Facts {
  encoding: string;
  version: number;
  standby: boolean;
  database: string;
  role: string;
  /** Where tables are looked for and made; null if the search path names no schema that exists. */
  schema: string | null;
  mayUseSchema: boolean;
  /** The role may make tables there, or they are there already. */
  mayMakeTables: boolean;
  mayMakeSchemas: boolean;
  /** The schema of the queue exists, and so does the list of migrations. */
  hasSchemas: boolean;
}

/**
 * Looks at the database once, at the start. Returns the address with its schema named, so that every later
 * connection finds the same tables whatever becomes of the search path.
 *
 * @throws AppError UNAVAILABLE if it cannot be reached; INVALID_INPUT if it cannot be used. Both name `DATABASE_URL`
 *   and say what to do; neither repeats a part of the password.
 */
export async function inspectDatabase(connectionString: string): Promise<string> {
  const [first, second] = [connectionString, connectionString].map(newClient) as [Client, Client];
  try {
    await Promise.all([first.connect(), second.connect()]);
    await refuseTransactionPooling(first, second);
    const named = schemaOf(connectionString);
    if (named !== null) await makeSchema(first, named);
    await pinSession(first, connectionString);
    const facts = await readFacts(first);
    const fault = findFault(facts);
    if (fault) throw new AppError('INVALID_INPUT', `DATABASE_URL: ${fault}.`);
    return withSchema(connectionString, facts.schema!);
  } catch (error) {
    throw error instanceof AppError ? error : explain(error);
  } finally {
    await Promise.all([first, second].map((client) => client.end().catch(() => undefined)));
  }
}

function newClient(connectionString: string): Client {
  const client = new Client({
    connectionString,
    application_name: 'alignsae start',
    connectionTimeoutMillis: CONNECT_MS,
    keepAlive: true,
  });
  // Whatever is under way fails with the connection; without a listener the process would, too.
  client.on('error', () => undefined);
  return client;
}

/** Two connections of our own that meet in one server process cannot both be sessions. */
async function refuseTransactionPooling(first: Client, second: Client): Promise<void> {
  const pids = new Map<Client, unknown>();
  for (const client of [first, second, first, second]) {
    const { rows } = await client.query('select pg_backend_pid() as pid');
    const others = [...pids].some(([other, pid]) => (other === client) !== (pid === rows[0].pid));
    if (others)
      throw new AppError(
        'INVALID_INPUT',
        'DATABASE_URL: leads to a pooler that changes the server connection between transactions. The server needs sessions, for LISTEN and advisory locks: set pool_mode = session in the pooler, or give the address of Postgres itself.',
      );
    pids.set(client, rows[0].pid);
  }
}

async function makeSchema(client: Client, schema: string): Promise<void> {
  const { rows } = await client.query('select to_regnamespace(quote_ident($1)) is not null as exists', [
    schema,
  ]);
  if (rows[0].exists) return;
  await client.query(`create schema if not exists ${client.escapeIdentifier(schema)}`).catch((cause) => {
    if (cause.code !== '42501') throw cause;
    throw new AppError(
      'INVALID_INPUT',
      `DATABASE_URL: names the schema ${JSON.stringify(schema)}, which does not exist, and its role may not make it; make it, and give it to the role.`,
      { cause },
    );
  });
}

async function readFacts(client: Client): Promise<Facts> {
  const { rows } = await client.query(
    `select current_setting('server_encoding') as encoding, current_setting('server_version_num')::int as version,
      pg_is_in_recovery() as standby, current_database() as database, current_user as role,
      current_schema() as schema,
      coalesce(has_schema_privilege(current_schema(), 'USAGE'), false) as "mayUseSchema",
      coalesce(has_schema_privilege(current_schema(), 'CREATE')
        or to_regclass(quote_ident(current_schema()) || '.runs') is not null, false) as "mayMakeTables",
      has_database_privilege(current_database(), 'CREATE') as "mayMakeSchemas",
      to_regnamespace('graphile_worker') is not null and to_regclass(
        case current_schema() when 'public' then 'drizzle' else quote_ident(current_schema()) end
        || '.__drizzle_migrations') is not null as "hasSchemas"`,
  );
  return rows[0];
}

/** Why the database cannot be used and what to do about it; null if it can. */
function findFault(facts: Facts): string | null {
  const { encoding, version, standby, database, role, schema } = facts;
  const [db, own] = [quote(database), quote(role)];
  if (encoding !== 'UTF8')
    return `the encoding of the database ${db} is ${encoding}, which cannot hold every text; it must be UTF8: create database … encoding 'UTF8' template template0`;
  if (version < OLDEST_VERSION)
    return `the server is Postgres ${Math.floor(version / 10_000)}; it must be ${OLDEST_VERSION / 10_000} or newer`;
  if (standby) return 'the server is a standby, which takes no writes; give the address of its primary';
  if (schema === null || !facts.mayUseSchema)
    return `the search path of role ${own} has no schema that it may use; name one with ?schema=…, or: alter role ${own} in database ${db} set search_path = …`;
  if (!facts.mayMakeTables)
    return `role ${own} may not make tables in schema ${quote(schema)}: grant create on schema ${quote(schema)} to ${own}, or name another schema with ?schema=…`;
  if (!facts.hasSchemas && !facts.mayMakeSchemas)
    return `role ${own} may not make schemas, which the queue and the list of migrations need: grant create on database ${db} to ${own}`;
  return null;
}

const quote = (name: string) => `"${name.replaceAll('"', '""')}"`;

/** SQLSTATEs of refusals, by what they mean to whoever set the variable. */
const REFUSALS: Readonly<Record<string, string>> = {
  '28P01': 'Postgres refuses the user or its password',
  '28000': 'Postgres refuses the user, or connections from this machine (pg_hba.conf)',
  '3D000': 'there is no such database',
  '08P01':
    'what answers refuses the connection: a pooler takes no `options`; name the schema with ?schema=… instead',
  '53300': 'Postgres has no connection left; raise its max_connections, or lower DATABASE_POOL_SIZE',
};

function explain(cause: unknown): AppError {
  const { code, message } = cause as { code?: string; message: string };
  const [what, first] = [code && REFUSALS[code], firstOf(cause)];
  const text = what ? `${what} (${message})` : `no Postgres can be reached there: ${first}`;
  return new AppError('UNAVAILABLE', `DATABASE_URL: ${text}.`, { cause });
}

/** A name with several addresses fails with an error that has no message of its own. */
function firstOf(error: unknown): string {
  if (error instanceof AggregateError && error.errors.length > 0) return firstOf(error.errors[0]);
  return error instanceof Error ? error.message : String(error);
}
