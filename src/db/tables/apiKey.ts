/** Keys of clients. */
import { sql } from 'drizzle-orm';
import { check, pgTable, text, unique } from 'drizzle-orm/pg-core';
import { createdAt, id, instant } from './columns.ts';

export const SCOPES = ['READ', 'RUN', 'ADMIN'] as const;

export type Scope = (typeof SCOPES)[number];

/** Bearer keys; only a hash is stored. */
export const apiKeys = pgTable(
  'api_keys',
  {
    id: id(),
    name: text('name').notNull(),
    /** SHA-256 of the key, lower-case hex. */
    hash: text('hash').notNull(),
    scopes: text('scopes').array().$type<Scope[]>().notNull(),
    createdAt: createdAt(),
    lastUsedAt: instant('last_used_at'),
    revokedAt: instant('revoked_at'),
  },
  (t) => [
    unique('api_keys_hash').on(t.hash),
    check(
      'api_keys_scopes',
      sql`cardinality(${t.scopes}) > 0 and ${t.scopes} <@ array['READ', 'RUN', 'ADMIN']`,
    ),
  ],
);
