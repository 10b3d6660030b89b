/** The cells of swap sweeps, stored one by one as they are measured. */
import { eq, sql } from 'drizzle-orm';
import type { KeptAnswers } from '../../engine/contract/sweepTrials.ts';
import type { Executor } from '../client.ts';
import { runEvents, runs, sweepCells } from '../tables/index.ts';
import { type Claim, lockRun, notify, RUN_EVENTS_CHANNEL } from './events.ts';
import { insertTrials } from './sweepTrials.ts';

export type SweepCell = typeof sweepCells.$inferSelect;
/** As it is handed over: with its swaps one by one, where they are kept. */
type HandedCell = Omit<SweepCell, 'runId'> & { kept?: KeptAnswers };

/** Stores a cell and tells of it; one that is stored already stays. False, storing nothing, if the claim is void. */
export function appendCell(db: Executor, claim: Claim, { kept, ...cell }: HandedCell): Promise<boolean> {
  const { runId } = claim;
  return db.transaction(async (tx) => {
    const lastSeq = await lockRun(tx, claim);
    if (lastSeq === null) return false;
    const stored = await tx
      .insert(sweepCells)
      .values({ ...cell, runId })
      .onConflictDoNothing({ target: [sweepCells.runId, sweepCells.position] })
      .returning({ position: sweepCells.position });
    if (stored.length === 0) return true;
    if (kept) await insertTrials(tx, runId, cell.position, kept);
    const seq = lastSeq + 1;
    const payload = { position: cell.position };
    await tx.insert(runEvents).values({ runId, seq, at: sql`clock_timestamp()`, type: 'CELL', payload });
    await tx.update(runs).set({ lastSeq: seq, deaths: 0 }).where(eq(runs.id, runId));
    await notify(tx, RUN_EVENTS_CHANNEL, `${runId}:${seq}`);
    return true;
  });
}

/** Positions of the cells that a sweep has stored. */
export async function listCellPositions(db: Executor, runId: string): Promise<number[]> {
  const rows = await db
    .select({ position: sweepCells.position })
    .from(sweepCells)
    .where(eq(sweepCells.runId, runId))
    .orderBy(sweepCells.position);
  return rows.map(({ position }) => position);
}
