/** Opaque cursors: the values of the ordering columns, and which list they belong to. */
import { getTableName } from 'drizzle-orm';
import type { PgColumn } from 'drizzle-orm/pg-core';
import { openCursor, sealCursor } from '../../cursor.ts';
import { invalidInput } from '../../errors.ts';

const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;

/** A cursor that points at a row with these values of the ordering columns. */
export function encodeCursor(columns: readonly PgColumn[], values: readonly unknown[]): string {
  return sealCursor(JSON.stringify([listName(columns), ...values]));
}

/**
 * The values that `encodeCursor` was given.
 *
 * @throws AppError INVALID_INPUT, naming `argument`, for anything that this list did not hand out.
 */
export function decodeCursor(columns: readonly PgColumn[], cursor: string, argument: string): unknown[] {
  const parts = parse(cursor);
  if (parts?.length === columns.length + 1 && parts[0] === listName(columns)) {
    const values = columns.map((column, i) => revive(column, parts[i + 1]));
    if (!values.includes(undefined)) return values;
  }
  throw invalidInput(
    [argument],
    `${argument} is not a cursor of this list: pass a cursor that it returned, unchanged`,
  );
}

/** Cursors of differently ordered lists must not be mixed up. */
function listName(columns: readonly PgColumn[]): string {
  return `${getTableName(columns[0]!.table)}:${columns.map((column) => column.name).join(',')}`;
}

function parse(cursor: string): unknown[] | null {
  try {
    const parts: unknown = JSON.parse(openCursor(cursor) ?? '');
    return Array.isArray(parts) ? parts : null;
  } catch {
    return null;
  }
}

/** A value that the column could hold; undefined for any other, which Postgres would refuse. */
function revive(column: PgColumn, value: unknown): unknown {
  if (column.dataType === 'date') {
    const date = new Date(typeof value === 'string' ? value : Number.NaN);
    // Beyond, ISO 8601 has a sign, which Postgres does not read.
    return date.getTime() >= FIRST_DAY && date.getTime() < LAST_DAY ? date : undefined;
  }
  if (column.columnType === 'PgDoublePrecision') return Number.isFinite(value) ? value : undefined;
  if (column.dataType === 'number')
    return Number.isSafeInteger(value) &&
      (column.columnType !== 'PgInteger' || Math.abs(value as number) < 2 ** 31)
      ? value
      : undefined;
  if (typeof value !== 'string') return undefined;
  if (column.columnType === 'PgUUID') return UUID.test(value) ? value : undefined;
  return /[\0\p{Cs}]/u.test(value) ? undefined : value;
}

const FIRST_DAY = Date.parse('0001-01-01');
const LAST_DAY = Date.parse('9999-12-31');
