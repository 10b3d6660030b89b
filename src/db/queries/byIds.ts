/** Batched look-ups for data loaders. */
import { getTableColumns, getTableName, type SQL, sql } from 'drizzle-orm';
import type { PgColumn, PgTable } from 'drizzle-orm/pg-core';
import type { Executor } from '../client.ts';

/** A table's row, without some of its columns. */
export type RowWithout<T extends PgTable, K extends PropertyKey> = Omit<T['$inferSelect'], K>;

/** One row (or null) for each id, in the order of `ids`, `without` some columns; `key` must be unique. */
export async function readByIds<T extends PgTable, K extends keyof T['$inferSelect'] = never>(
  db: Executor,
  table: T,
  key: PgColumn,
  ids: readonly string[],
  without: readonly K[] = [],
): Promise<(RowWithout<T, K> | null)[]> {
  const groups = await readGrouped(db, table, key, ids, [], without);
  return groups.map((rows) => (rows[0] ?? null) as RowWithout<T, K> | null);
}

/** All rows for each id, in the order of `ids`, each group sorted by `order`. */
export function readGroups<T extends PgTable>(
  db: Executor,
  table: T,
  key: PgColumn,
  ids: readonly string[],
  order: readonly PgColumn[] = [],
): Promise<T['$inferSelect'][][]> {
  return readGrouped(db, table, key, ids, order, []);
}

async function readGrouped(
  db: Executor,
  table: PgTable,
  key: PgColumn,
  ids: readonly string[],
  order: readonly PgColumn[],
  without: readonly PropertyKey[],
): Promise<Record<string, unknown>[][]> {
  const rows = await statementOf(db, table, key, order, without).execute({ ids });
  const groups = groupRows(rows, keyOf(table, key));
  return ids.map((id) => groups.get(id) ?? []);
}

/** What `select` reads: all columns but these. */
export function columnsWithout(table: PgTable, without: readonly PropertyKey[]): Record<string, PgColumn> {
  const columns = Object.entries(getTableColumns(table));
  return Object.fromEntries(columns.filter(([name]) => !without.includes(name)));
}

/** Whether `key` is one of `ids`, as one parameter: however many they are, the statement is the same. */
export function isAnyOf(key: PgColumn, ids: readonly string[]): SQL {
  return sql`${key} = any(${sql.param(ids)})`;
}

interface Statement {
  execute(values: { ids: readonly string[] }): Promise<Record<string, unknown>[]>;
}

/** The text of a statement costs drizzle as much as reading a hundred rows, so it is written once. */
const statements = new WeakMap<Executor, Map<string, Statement>>();

function statementOf(
  db: Executor,
  table: PgTable,
  key: PgColumn,
  order: readonly PgColumn[],
  without: readonly PropertyKey[],
): Statement {
  const own = statements.get(db) ?? new Map<string, Statement>();
  statements.set(db, own);
  const name = [getTableName(table), ...[key, ...order].map((column) => column.name), '-', ...without].join();
  const known = own.get(name);
  if (known) return known;
  const statement = db
    .select(columnsWithout(table, without))
    .from(table)
    .where(sql`${key} = any(${sql.placeholder('ids')})`)
    .orderBy(...order)
    // Without a name it is not kept by Postgres, which a pooler between could not follow.
    .prepare('');
  own.set(name, statement);
  return statement;
}

/** The property under which rows of `table` carry `column`. */
export function keyOf(table: PgTable, column: PgColumn): string {
  return Object.entries(getTableColumns(table)).find(([, own]) => own === column)![0];
}

/** Rows by the value of one property, each group in the given order. */
export function groupRows<Row extends Record<string, unknown>>(
  rows: readonly Row[],
  key: string,
): Map<string, Row[]> {
  const groups = new Map<string, Row[]>();
  for (const row of rows) {
    const value = row[key] as string;
    const group = groups.get(value);
    if (group) group.push(row);
    else groups.set(value, [row]);
  }
  return groups;
}
