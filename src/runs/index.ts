/** Every kind of run; the compiler names one that is missing. */
import { type SQL, sql } from 'drizzle-orm';
import type { ArtifactStore } from '../db/artifactStore.ts';
import type { Executor } from '../db/client.ts';
import { storeArtifact } from '../db/queries/artifacts.ts';
import { loadEngineDataset } from '../db/queries/engineDataset.ts';
import type { RunOf } from '../db/queries/runOf.ts';
import type { EngineJobs, EngineRunKind, RunKind } from '../engine/contract/runs.ts';
import { alignment } from './alignment.ts';
import { alignmentSweep } from './alignmentSweep.ts';
import { baseline } from './baseline.ts';
import { checkpointAnalysis } from './checkpointAnalysis.ts';
import { grokking } from './grokking.ts';
import { hopSwap } from './hopSwap.ts';
import type { EngineKind, Outcome, ParentKind } from './kind.ts';
import { knowledge } from './knowledge.ts';
import { model } from './model.ts';
import { saeEvaluation } from './saeEvaluation.ts';
import { swapSweep } from './swapSweep.ts';
import { HISTORY, type ResultTables } from './table.ts';

const KINDS = {
  MODEL: model,
  ALIGNMENT: alignment,
  BASELINE: baseline,
  SWAP_SWEEP: swapSweep,
  ALIGNMENT_SWEEP: alignmentSweep,
  GROKKING: grokking,
  CHECKPOINT_ANALYSIS: checkpointAnalysis,
  HOP_SWAP: hopSwap,
  SAE_EVALUATION: saeEvaluation,
  KNOWLEDGE: knowledge,
} satisfies { [K in RunKind]: K extends EngineRunKind ? EngineKind<K> : ParentKind };

const WITH_JOB: { [K in EngineRunKind]: EngineKind<K> } = KINDS;

/** What a run of this kind has to take out, by name. */
export function tablesOf(kind: RunKind): ResultTables {
  return { ...HISTORY, ...KINDS[kind].tables };
}

/** A list in brackets, as `ResultTable.rows` takes it. */
export function listOf(runIds: readonly string[]): SQL {
  return sql`(${sql.join(
    runIds.map((id) => sql`${id}`),
    sql`, `,
  )})`;
}

/** Whether a run of this kind goes on from checkpoints. */
export function hasCheckpoints(kind: EngineRunKind): boolean {
  return WITH_JOB[kind].checkpoints;
}

/** What the engine needs to do the run, which was validated before it was queued. @throws AppError UNAVAILABLE without a file. */
export async function loadJob<K extends EngineRunKind>(
  db: Executor,
  store: ArtifactStore,
  run: RunOf<K>,
): Promise<EngineJobs[K]['job']> {
  const dataset = await loadEngineDataset(db, run.datasetId);
  return WITH_JOB[run.kind].load({ db, store, dataset }, run);
}

/** Stores what the job returned; ending the run, in the same transaction, is the caller's part. */
export function storeResult<K extends EngineRunKind>(
  tx: Executor,
  store: ArtifactStore,
  run: RunOf<K>,
  result: EngineJobs[K]['result'],
): Promise<Outcome<K>> {
  return WITH_JOB[run.kind].store(
    { tx, keep: (file, kind) => storeArtifact(tx, store, file, kind) },
    run,
    result,
  );
}
