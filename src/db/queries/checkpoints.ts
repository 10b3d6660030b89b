/** The newest checkpoint of each unfinished run. */
import { eq, sql } from 'drizzle-orm';
import type { ArtifactStore, NewFile } from '../artifactStore.ts';
import type { Executor } from '../client.ts';
import { checkpoints, runs } from '../tables/index.ts';
import { collectArtifact, storeArtifact } from './artifacts.ts';
import { type Claim, heldBy } from './events.ts';
import { forgetDeaths } from './runs.ts';

export type Checkpoint = typeof checkpoints.$inferSelect;

/** Where an interrupted run goes on from; null if it has to start anew. */
export async function readCheckpoint(db: Executor, runId: string): Promise<Checkpoint | null> {
  const [checkpoint] = await db.select().from(checkpoints).where(eq(checkpoints.runId, runId));
  return checkpoint ?? null;
}

/**
 * Stores a checkpoint in place of the run's earlier one, whose file is deleted if nothing else uses it. False,
 * leaving `file` where it is, if the claim no longer holds.
 */
export async function replaceCheckpoint(
  db: Executor,
  store: ArtifactStore,
  claim: Claim,
  step: number,
  file: NewFile,
): Promise<boolean> {
  const earlier = await db.transaction(async (tx) => {
    const [run] = await tx.select({ id: runs.id }).from(runs).where(heldBy(claim)).for('no key update');
    if (!run) return null;
    const replaced = await readCheckpoint(tx, claim.runId);
    const artifactHash = await storeArtifact(tx, store, file, 'CHECKPOINT');
    await tx
      .insert(checkpoints)
      .values({ runId: claim.runId, step, artifactHash })
      .onConflictDoUpdate({
        target: checkpoints.runId,
        set: { step, artifactHash, createdAt: sql`now()` },
      });
    await forgetDeaths(tx, claim.runId);
    return { hash: replaced?.artifactHash };
  });
  if (!earlier) return false;
  if (earlier.hash && earlier.hash !== file.sha256) await collectArtifact(db, store, earlier.hash);
  return true;
}
