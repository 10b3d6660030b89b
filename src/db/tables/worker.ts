/** Worker processes. */
import { sql } from 'drizzle-orm';
import { index, integer, jsonb, pgTable, text, uuid } from 'drizzle-orm/pg-core';
import type { ProductChoice } from '../../engine/contract/products.ts';
import { instant } from './columns.ts';

export const workers = pgTable(
  'workers',
  {
    id: uuid('id').primaryKey(),
    /** Key of the session advisory lock the worker holds while it lives. */
    lockKey: integer('lock_key').notNull().generatedAlwaysAsIdentity(),
    hostname: text('hostname').notNull(),
    pid: integer('pid').notNull(),
    backend: text('backend').notNull(),
    tensorflowVersion: text('tensorflow_version'),
    devices: jsonb('devices').$type<{ name: string; kind: 'CPU' | 'GPU' }[]>().notNull(),
    fallbackReason: text('fallback_reason'),
    products: jsonb('products').$type<readonly ProductChoice[]>().notNull().default([]),
    startedAt: instant('started_at').notNull().defaultNow(),
    lastSeenAt: instant('last_seen_at').notNull().defaultNow(),
    /** Set when it left in order, or when another found its lock free. */
    endedAt: instant('ended_at'),
  },
  (t) => [index('workers_alive').on(t.lastSeenAt).where(sql`${t.endedAt} is null`)],
);
