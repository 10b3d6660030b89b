/** Files in the store. */
import { sql } from 'drizzle-orm';
import { bigint, check, pgTable, text } from 'drizzle-orm/pg-core';
import { createdAt } from './columns.ts';

export const artifacts = pgTable(
  'artifacts',
  {
    /** SHA-256 of the file's bytes; also its name in the store. */
    hash: text('hash').primaryKey(),
    bytes: bigint('bytes', { mode: 'number' }).notNull(),
    kind: text('kind').notNull(),
    createdAt: createdAt(),
  },
  (t) => [check('artifacts_hash_form', sql`${t.hash} ~ '^[0-9a-f]{64}$'`)],
);
