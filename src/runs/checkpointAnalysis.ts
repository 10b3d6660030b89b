/** Parts of grokking runs: an SAE is trained on one checkpoint, and measured. */
import type { Executor } from '../db/client.ts';
import { storePoint } from '../db/queries/grokking.ts';
import { insertHopSaes } from '../db/queries/hopSaes.ts';
import type { RunOf } from '../db/queries/runOf.ts';
import type { GrokkingPoint } from '../engine/contract/analysis.ts';
import type { WrittenFile } from '../engine/contract/writtenFile.ts';
import type { EngineKind, ResultTarget } from './kind.ts';
import { loadSettled } from './studied.ts';

export { type HopSae, hopSaesOfRuns } from '../db/queries/hopSaes.ts';

export const checkpointAnalysis: EngineKind<'CHECKPOINT_ANALYSIS'> = {
  tables: {},
  checkpoints: false,
  load: async (source, run) => ({ kind: 'CHECKPOINT_ANALYSIS', ...(await loadSettled(source, run)) }),
  async store(target, run, { point, saes }) {
    const artifactHash = await keepHopSaes(target, run.id, saes);
    await storeAnalysis(target.tx, run, point);
    return { artifactHash };
  },
};

function storeAnalysis(tx: Executor, run: RunOf<'CHECKPOINT_ANALYSIS'>, point: GrokkingPoint): Promise<void> {
  const { train, heldOut, oneHop, hops, ...values } = point;
  const counts = {
    trainQuestions: train.questions,
    trainCorrect: train.correct,
    heldOutQuestions: heldOut.questions,
    heldOutCorrect: heldOut.correct,
    oneHopQuestions: oneHop?.questions,
    oneHopCorrect: oneHop?.correct,
  };
  const bindings = hops.map((hop) => ({ ...hop, directions: hop.directions.flat() }));
  return storePoint(tx, run, { ...values, ...counts, at: new Date() }, bindings);
}

/** Stores the SAEs that a two-hop run trained; the hash where it is one. What has one for each hop has no one file. */
export async function keepHopSaes(
  { tx, keep }: ResultTarget,
  runId: string,
  saes: readonly WrittenFile[],
): Promise<string | undefined> {
  const hashes: string[] = [];
  for (const sae of saes) hashes.push(await keep(sae, 'SAE'));
  await insertHopSaes(tx, runId, hashes);
  return hashes.length === 1 ? hashes[0] : undefined;
}
