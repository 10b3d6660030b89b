/** Batched look-ups for data loaders. */
import { getTableColumns, inArray } from 'drizzle-orm';
import type { PgColumn, PgTable } from 'drizzle-orm/pg-core';
import type { Executor } from '../client.ts';

/** One row (or null) for each id, in the order of `ids`; `key` must be unique. */
export async function readByIds<T extends PgTable>(
  db: Executor,
  table: T,
  key: PgColumn,
  ids: readonly string[],
): Promise<(T['$inferSelect'] | null)[]> {
  const groups = await readGroups(db, table, key, ids);
  return groups.map((rows) => rows[0] ?? null);
}

/** All rows for each id, in the order of `ids`, each group sorted by `order`. */
export async function readGroups<T extends PgTable>(
  db: Executor,
  table: T,
  key: PgColumn,
  ids: readonly string[],
  order: readonly PgColumn[] = [],
): Promise<T['$inferSelect'][][]> {
  const rows = await db
    .select()
    .from(table as PgTable)
    .where(inArray(key, [...ids]))
    .orderBy(...order);
  const groups = groupRows(rows, keyOf(table, key));
  return ids.map((id) => (groups.get(id) ?? []) as T['$inferSelect'][]);
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
