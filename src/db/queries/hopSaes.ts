/** SAEs that two-hop runs trained, hop by hop. */
import type { Executor } from '../client.ts';
import { hopSaes } from '../tables/index.ts';
import { readGroups } from './byIds.ts';

export type HopSae = typeof hopSaes.$inferSelect;

/** For each run its SAE of hop 1, then that of hop 2; the same one twice where the hops share it, none before its end. */
export function hopSaesOfRuns(db: Executor, runIds: readonly string[]): Promise<HopSae[][]> {
  return readGroups(db, hopSaes, hopSaes.runId, runIds, [hopSaes.hop]);
}

/** Hashes of a run's SAEs: one where the hops share it, else that of hop 1 and that of hop 2. */
export async function listHopSaeHashes(db: Executor, runId: string): Promise<string[]> {
  const [saes] = await hopSaesOfRuns(db, [runId]);
  return [...new Set(saes!.map(({ artifactHash }) => artifactHash))];
}

/** Notes which stored SAEs are a run's: one that the hops share, or that of hop 1 and that of hop 2. */
export async function insertHopSaes(tx: Executor, runId: string, hashes: readonly string[]): Promise<void> {
  if (hashes.length === 0) return;
  const rows = [1, 2].map((hop) => ({ runId, hop, artifactHash: hashes[hop - 1] ?? hashes[0]! }));
  await tx.insert(hopSaes).values(rows);
}
