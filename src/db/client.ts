/** The pool of connections and drizzle over it. */
import { drizzle, type NodePgDatabase, type NodePgQueryResultHKT } from 'drizzle-orm/node-postgres';
import type { PgDatabase } from 'drizzle-orm/pg-core';
import { Pool } from 'pg';
import type { DbLog } from './log.ts';
import * as tables from './tables.ts';

/** What queries are written against: the database itself or a transaction on it. */
export type Executor = PgDatabase<NodePgQueryResultHKT, typeof tables>;
export type Db = NodePgDatabase<typeof tables>;

export interface DatabaseOptions {
  log: DbLog;
  /** Most connections at a time. */
  maxConnections?: number;
  /** Shown in `pg_stat_activity`. */
  applicationName?: string;
}

export interface Database {
  db: Db;
  pool: Pool;
  connectionString: string;
  /** Waits for checked-out connections to come back, then closes all. */
  close(): Promise<void>;
}

/** Opens a pool; connections are made when needed, and again after Postgres was restarted. */
export function createDatabase(connectionString: string, options: DatabaseOptions): Database {
  const pool = new Pool({
    connectionString,
    max: options.maxConnections ?? 10,
    application_name: options.applicationName ?? 'alignsae',
    connectionTimeoutMillis: 10_000,
    idleTimeoutMillis: 30_000,
    keepAlive: true,
    // A request that takes longer than this is broken; better an error than a pool run dry.
    statement_timeout: 60_000,
    idle_in_transaction_session_timeout: 60_000,
  });
  // The pool listens to its idle clients only; a checked-out one that is lost would end the process.
  pool.on('connect', (client) =>
    client.on('error', (error) => options.log.warn({ err: error }, 'a database connection was lost')),
  );
  pool.on('error', () => undefined);
  return { db: drizzle({ client: pool, schema: tables }), pool, connectionString, close: () => pool.end() };
}

/** Whether a unique constraint or index (that one, if named) was violated. */
export function isUniqueViolation(error: unknown, constraint?: string): boolean {
  const { code, constraint: violated } = rootCause(error);
  return code === '23505' && (constraint === undefined || violated === constraint);
}

/** Whether Postgres could not be reached or went away; the same may succeed when it is back. */
export function isConnectionLoss(error: unknown): boolean {
  const { code, message } = rootCause(error);
  if (code === undefined) return /^(Connection terminated|timeout exceeded|Query read timeout)/.test(message);
  return /^(08|57P|53300|ECONN|ENOENT|EPIPE|ETIMEDOUT)/.test(code);
}

/** Drizzle wraps what `pg` threw. */
function rootCause(error: unknown): { code?: string; constraint?: string; message: string } {
  return error instanceof Error && error.cause instanceof Error ? rootCause(error.cause) : (error as Error);
}
