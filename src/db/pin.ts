/**
 * What every connection sets before its first query, so that nothing depends on the defaults of the database, the
 * role or the server. By statements rather than in the startup packet, which poolers refuse.
 */
import type { ClientBase } from 'pg';
import { schemaOf } from './databaseUrl.ts';

export interface PinOptions {
  /** Longest statement; 0 is no bound. */
  statementTimeoutMs?: number;
  /** Longest pause within a transaction; 0 is no bound. */
  idleInTransactionMs?: number;
}

/** As Postgres has them by default; what reads its answers, and what is written to it, counts on them. */
const SETTINGS = {
  // `Date` reads no other order of day and month.
  datestyle: 'ISO, YMD',
  intervalstyle: 'postgres',
  timezone: 'UTC',
  client_encoding: 'UTF8',
  standard_conforming_strings: 'on',
  bytea_output: 'hex',
  // Shortest text that reads back as the same number.
  extra_float_digits: '1',
  // Statements behind a row lock must see what its last holder committed.
  default_transaction_isolation: 'read committed',
  default_transaction_read_only: 'off',
  default_transaction_deferrable: 'off',
  transform_null_equals: 'off',
  lock_timeout: '0',
  // Our queries are short; compiling one takes longer than running it.
  jit: 'off',
} as const;

/** Settings that only newer versions of Postgres have. */
const NEWER_SETTINGS = { idle_session_timeout: '0', transaction_timeout: '0' } as const;

/** Pins a new connection's settings; nothing else may use it before. */
export async function pinSession(
  client: ClientBase,
  connectionString: string,
  { statementTimeoutMs = 0, idleInTransactionMs = 0 }: PinOptions = {},
): Promise<void> {
  const settings = {
    ...SETTINGS,
    statement_timeout: String(statementTimeoutMs),
    idle_in_transaction_session_timeout: String(idleInTransactionMs),
  };
  const set = Object.entries(settings).map(([name, value]) => `set_config('${name}', '${value}', false)`);
  const setIfKnown = Object.entries(NEWER_SETTINGS).map(
    ([name, value]) =>
      `case when current_setting('${name}', true) is not null then set_config('${name}', '${value}', false) end`,
  );
  // Where none is named it is the first that exists of the search path, which then is the only one.
  const schema = `quote_ident(coalesce($1, current_schema(), ''))`;
  await client.query('set statement_timeout = 0'); // by itself, for a short one of the role's may end the long one below
  await client.query(
    `select ${[...set, ...setIfKnown, `set_config('search_path', ${schema}, false)`].join(', ')}`,
    [schemaOf(connectionString)],
  );
}
