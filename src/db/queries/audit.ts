/** The record of who changed what: written around each mutation, read newest first. */
import { and, eq, gte, lt } from 'drizzle-orm';
import type { Executor } from '../client.ts';
import { type AuditOutcome, auditEntries } from '../tables/index.ts';
import { type Page, type PageArgs, readPage } from './page.ts';

export type AuditEntry = typeof auditEntries.$inferSelect;
export type NewAuditEntry = Pick<AuditEntry, 'apiKeyId' | 'client' | 'requestId' | 'operation' | 'target'>;
export type AuditEnd = Pick<AuditEntry, 'outcome' | 'errorCode' | 'target'>;

/** Notes that an operation begins; the id by which to note its end. */
export async function insertAuditEntry(db: Executor, entry: NewAuditEntry): Promise<string> {
  const [row] = await db.insert(auditEntries).values(entry).returning({ id: auditEntries.id });
  return row!.id;
}

export async function endAuditEntry(db: Executor, id: string, end: AuditEnd): Promise<void> {
  await db.update(auditEntries).set(end).where(eq(auditEntries.id, id));
}

export interface AuditFilter {
  apiKeyId?: string | null;
  operation?: string | null;
  target?: string | null;
  outcome?: AuditOutcome | null;
  /** From here on, itself included. */
  since?: Date | null;
  /** Up to here, itself excluded. */
  until?: Date | null;
}

/** Entries that fit the filter, newest first. */
export function listAuditEntries(
  db: Executor,
  { apiKeyId, operation, target, outcome, since, until }: AuditFilter,
  args: PageArgs,
): Promise<Page<AuditEntry>> {
  const where = and(
    apiKeyId ? eq(auditEntries.apiKeyId, apiKeyId) : undefined,
    operation ? eq(auditEntries.operation, operation) : undefined,
    target ? eq(auditEntries.target, target) : undefined,
    outcome ? eq(auditEntries.outcome, outcome) : undefined,
    since ? gte(auditEntries.at, since) : undefined,
    until ? lt(auditEntries.at, until) : undefined,
  );
  const order = { columns: [auditEntries.at, auditEntries.id], direction: 'desc' } as const;
  return readPage(db, auditEntries, { where, order }, args);
}
