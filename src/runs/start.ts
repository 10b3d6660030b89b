/** Stores runs and puts them into the job queue, in one transaction. */
import type { Executor } from '../db/client.ts';
import { insertParts, insertRun, type NewRun, type Run } from '../db/queries/runs.ts';
import { usedSaes } from '../db/tables/index.ts';
import type { EngineRunKind } from '../engine/contract/runs.ts';
import { enqueueNewRuns, enqueueRun } from '../jobs/queue.ts';
import { CODE_VERSION } from '../version.ts';
import type { Dataset } from './studied.ts';

type DatasetVersion = Pick<Dataset, 'id' | 'contentHash'>;

/** What is known of a run before it is one; its seed is that of its settings. */
export type RunToQueue = Pick<
  NewRun,
  'modelId' | 'initialModelId' | 'corpusId' | 'alignmentRunId' | 'baselineRunId' | 'analysisRunId'
> &
  { [K in EngineRunKind]: Pick<NewRun & { kind: K }, 'kind' | 'settings'> }[EngineRunKind];

/** Queues a run on a dataset. @param saeId The SAE that it makes use of. */
export async function queueRun(
  db: Executor,
  run: RunToQueue,
  dataset: DatasetVersion,
  saeId?: string,
): Promise<Run> {
  return db.transaction(async (tx) => {
    const stored = await queueStored(tx, { ...run, ...onDataset(dataset), seed: run.settings.seed });
    if (saeId !== undefined) await tx.insert(usedSaes).values({ runId: stored.id, saeId });
    return stored;
  });
}

/** The same for a run of which all is known. */
export async function queueStored(db: Executor, run: NewRun): Promise<Run> {
  return db.transaction(async (tx) => {
    const stored = await insertRun(tx, run);
    await enqueueRun(tx, stored.id);
    return stored;
  });
}

/**
 * The same for a run without a job of its own and its parts; those that wait for a model are queued when it is there.
 * @param saeId The SAE that all of them make use of.
 */
export async function queueParts(
  db: Executor,
  parent: NewRun,
  parts: readonly NewRun[],
  saeId?: string,
): Promise<Run> {
  return db.transaction(async (tx) => {
    const stored = await insertRun(tx, parent);
    const children = await insertParts(tx, stored, parts);
    if (saeId !== undefined)
      await tx.insert(usedSaes).values([stored, ...children].map(({ id }) => ({ runId: id, saeId })));
    const ready = children.filter(({ kind, modelId }) => kind === 'MODEL' || modelId !== null);
    await enqueueNewRuns(tx, ready.map(({ id }) => id).sort());
    return stored;
  });
}

/** What every run notes of its dataset and of the server that starts it. */
export function onDataset({ id, contentHash }: DatasetVersion) {
  return { datasetId: id, datasetHash: contentHash, codeVersion: CODE_VERSION };
}
