/** Who changed what, and when. */
import { sql } from 'drizzle-orm';
import { check, index, pgTable, text, uuid } from 'drizzle-orm/pg-core';
import { apiKeys } from './apiKey.ts';
import { id, instant, oneOf } from './columns.ts';

/** BEGUN stays where the server ended before the operation did: whether it took effect is not known. */
export const AUDIT_OUTCOMES = ['BEGUN', 'DONE', 'REFUSED', 'FAILED'] as const;

export type AuditOutcome = (typeof AUDIT_OUTCOMES)[number];

/** A mutation: noted before it begins, and again when it has ended. */
export const auditEntries = pgTable(
  'audit_entries',
  {
    id: id(),
    at: instant('at').notNull().defaultNow(),
    /** Null where there was no key. */
    apiKeyId: uuid('api_key_id').references(() => apiKeys.id, { onDelete: 'set null' }),
    /** The key, or where the caller sat. */
    client: text('client').notNull(),
    requestId: text('request_id').notNull(),
    /** The mutation's name. */
    operation: text('operation').notNull(),
    /** Global id of what it is about; null where nothing came of it, or it has none. */
    target: text('target'),
    outcome: text('outcome').$type<AuditOutcome>().notNull().default('BEGUN'),
    /** Code of the error that it ended with. */
    errorCode: text('error_code'),
  },
  (t) => [
    index('audit_entries_at').on(t.at, t.id),
    index('audit_entries_key').on(t.apiKeyId, t.at, t.id),
    index('audit_entries_target').on(t.target, t.at, t.id),
    check('audit_entries_outcome', oneOf(t.outcome, AUDIT_OUTCOMES)),
    check('audit_entries_error', sql`(${t.errorCode} is not null) = (${t.outcome} in ('REFUSED', 'FAILED'))`),
  ],
);
