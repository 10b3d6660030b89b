/** What has been collected of what nobody needs any more. */
import { bigint, check, integer, pgTable, text } from 'drizzle-orm/pg-core';
import { instant, oneOf } from './columns.ts';

/** What is collected, each by a rule of its own. */
export const RETENTION_POLICIES = [
  'LEFTOVERS',
  'DAMAGED',
  'EVENTS',
  'FAILED_RUNS',
  'RESULTS',
  'AUDIT',
  'WORKERS',
] as const;

export type RetentionPolicyName = (typeof RETENTION_POLICIES)[number];

/** The last time that something was collected by each rule, on whichever machine. */
export const collections = pgTable(
  'collections',
  {
    policy: text('policy').$type<RetentionPolicyName>().primaryKey(),
    at: instant('at').notNull(),
    /** Of the last round. */
    items: integer('items').notNull(),
    bytes: bigint('bytes', { mode: 'number' }).notNull(),
    /** Of all rounds. */
    totalItems: bigint('total_items', { mode: 'number' }).notNull(),
    totalBytes: bigint('total_bytes', { mode: 'number' }).notNull(),
  },
  (t) => [check('collections_policy', oneOf(t.policy, RETENTION_POLICIES))],
);
