/** The pool of connections and drizzle over it. */
import { drizzle, type NodePgDatabase, type NodePgQueryResultHKT } from 'drizzle-orm/node-postgres';
import type { PgDatabase } from 'drizzle-orm/pg-core';
import { Pool, type PoolClient } from 'pg';
import type { DbLog } from './log.ts';
import { type PinOptions, pinSession } from './pin.ts';
import * as tables from './tables/index.ts';

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

const TIMEOUTS: PinOptions = {
  // A request that takes longer than this is broken; better an error than a pool run dry.
  statementTimeoutMs: 60_000,
  // Longer, because a checkpoint's file reaches the disk within a transaction.
  idleInTransactionMs: 300_000,
};

/** Opens a pool; connections are made when needed, and again after Postgres was restarted. */
export function createDatabase(connectionString: string, options: DatabaseOptions): Database {
  const pool = new Pool({
    connectionString,
    max: options.maxConnections ?? 10,
    application_name: options.applicationName ?? 'alignsae',
    connectionTimeoutMillis: 10_000,
    idleTimeoutMillis: 30_000,
    keepAlive: true,
    onConnect: (client) => pinSession(client, connectionString, TIMEOUTS),
  });
  surviveLostConnections(pool, options.log);
  return { db: drizzle({ client: pool, schema: tables }), pool, connectionString, close: () => pool.end() };
}

/** Postgres may go away at any moment; a lost connection costs its query, not the process and not a place in the pool. */
function surviveLostConnections(pool: Pool, log: DbLog): void {
  const checkedOut = new Set<PoolClient>();
  pool.on('acquire', (client) => checkedOut.add(client));
  pool.on('release', (_, client) => checkedOut.delete(client));
  pool.on('connect', (client) => {
    // The pool listens to its idle clients only; an error that nobody listens to ends the process.
    client.on('error', (error) => {
      if (!pool.ending) log.warn({ err: error }, 'a database connection was lost');
    });
    // Drizzle does not give a client back whose BEGIN failed (drizzle-team/drizzle-orm#6023).
    client.on('end', () => {
      if (!checkedOut.has(client)) return;
      client.release(true);
      // Whoever has it may give it back, too; a second time the pool would throw.
      client.release = () => undefined;
    });
  });
  pool.on('error', () => undefined);
}

/** Whether a unique constraint or index (that one, if named) was violated. */
export function isUniqueViolation(error: unknown, constraint?: string): boolean {
  const { code, constraint: violated } = rootCause(error);
  return code === '23505' && (constraint === undefined || violated === constraint);
}

/** Drizzle wraps what `pg` threw. */
function rootCause(error: unknown): { code?: string; constraint?: string; message: string } {
  return error instanceof Error && error.cause instanceof Error ? rootCause(error.cause) : (error as Error);
}
