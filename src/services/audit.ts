/** The log of who changed what. */
import type { Db } from '../db/client.ts';
import { type AuditEnd, endAuditEntry, insertAuditEntry, type NewAuditEntry } from '../db/queries/audit.ts';

export { type AuditEntry, type AuditFilter, listAuditEntries } from '../db/queries/audit.ts';
export { AUDIT_OUTCOMES, type AuditOutcome } from '../db/tables/index.ts';

/**
 * Does `work` between the two notes of it: nothing is done that was not noted before. Where the second cannot be
 * written, the entry stays BEGUN, and what was done stays done.
 * @param endOf What to say of how it ended: of what it returned, or of what it threw.
 */
export async function audited<T>(
  db: Db,
  entry: NewAuditEntry,
  work: () => Promise<T>,
  endOf: { done(result: T): AuditEnd; thrown(error: unknown): AuditEnd },
): Promise<T> {
  const id = await insertAuditEntry(db, entry);
  const note = (end: AuditEnd) => endAuditEntry(db, id, end).catch(() => undefined);
  try {
    const result = await work();
    await note(endOf.done(result));
    return result;
  } catch (error) {
    await note(endOf.thrown(error));
    throw error;
  }
}
