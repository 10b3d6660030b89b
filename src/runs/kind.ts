/** What a kind of run is on the side of data: a file of this folder, named in `index.ts`. */
import type { ArtifactStore } from '../db/artifactStore.ts';
import type { Executor } from '../db/client.ts';
import type { RunOf } from '../db/queries/runOf.ts';
import type { EngineDataset } from '../engine/contract/dataset.ts';
import type { EngineJobs, EngineRunKind, RunKind, RunResults } from '../engine/contract/runs.ts';
import type { WrittenFile } from '../engine/contract/writtenFile.ts';
import type { ResultTables } from './table.ts';

/** A kind that follows its parts: it has results to read, and no job. */
export interface ParentKind {
  /** Results beside metrics and events, in the order in which they are offered as files. */
  tables: ResultTables;
}

/** A kind that an engine works on. */
export interface EngineKind<K extends EngineRunKind> extends ParentKind {
  /** Whether it goes on from checkpoints; others do again what is not stored yet. */
  checkpoints: boolean;
  /** From a run's row to the engine's job. The run was validated before it was queued. */
  load(source: JobSource, run: RunOf<K>): Promise<EngineJobs[K]['job']>;
  /** Stores what the job returned, in the transaction that ends the run. */
  store(target: ResultTarget, run: RunOf<K>, result: EngineJobs[K]['result']): Promise<Outcome<K>>;
}

export interface JobSource {
  db: Executor;
  store: ArtifactStore;
  /** The run's dataset. */
  dataset: EngineDataset;
}

export interface ResultTarget {
  tx: Executor;
  /** Takes a file of weights into the store; its hash. */
  keep(file: WrittenFile, kind: 'MODEL' | 'SAE'): Promise<string>;
}

/** What the run's own row says of the result. */
export interface Outcome<K extends RunKind> {
  modelId?: string;
  artifactHash?: string;
  result?: RunResults[K];
}
