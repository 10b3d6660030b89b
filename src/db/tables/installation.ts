/** Which installation this database is of; its one row is made by the first start. */
import { sql } from 'drizzle-orm';
import { boolean, check, pgTable, uuid } from 'drizzle-orm/pg-core';
import { createdAt } from './columns.ts';

export const installation = pgTable(
  'installation',
  {
    /** True: there is one row at most. */
    only: boolean('only').primaryKey().default(true),
    /** Also stands in a file of the artifact store, so that the two are not mixed up with those of others. */
    id: uuid('id').notNull(),
    createdAt: createdAt(),
  },
  (t) => [check('installation_only', sql`${t.only}`)],
);
