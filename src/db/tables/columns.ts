/** Columns that many tables have. Enumerations are text with checks, so that a new kind is a plain migration. */
import { sql } from 'drizzle-orm';
import { type AnyPgColumn, customType, text, timestamp, uuid } from 'drizzle-orm/pg-core';
import { fromJson, jsonOf } from '../../storedText.ts';

export const id = () => uuid('id').primaryKey().defaultRandom();
export const instant = (name: string) => timestamp(name, { withTimezone: true, mode: 'date', precision: 3 });
/** A `jsonb` that holds any value but a string as it is, also with characters that Postgres's own JSON cannot hold. */
export const anyJson = customType<{ data: unknown; driverData: unknown }>({
  dataType: () => 'jsonb',
  toDriver: jsonOf,
  fromDriver: fromJson,
});
export const createdAt = () => instant('created_at').notNull().defaultNow();
export const oneOf = (column: AnyPgColumn, values: readonly string[]) =>
  sql`${column} in (${sql.raw(values.map((v) => `'${v}'`).join(', '))})`;

/** What people say of a thing, and may change at any time; names stand by themselves. */
export const labels = () => ({
  /** In the order given; none twice. */
  tags: text('tags').array().notNull().default(sql`'{}'`),
  notes: text('notes').notNull().default(''),
});
