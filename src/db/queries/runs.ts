/** Runs and their life: QUEUED → RUNNING → SUCCEEDED | FAILED | CANCELLED, every change an event. */

import { randomUUID } from 'node:crypto';
import { and, count, eq, gt, inArray, not, notInArray, type SQL, sql } from 'drizzle-orm';
import type { Phase } from '../../engine/contract/phases.ts';
import { PARENT_KINDS, type RunKind, type RunResults, type RunSettings } from '../../engine/contract/runs.ts';
import { AppError, notFound } from '../../errors.ts';
import { shownText } from '../../storedText.ts';
import type { Executor } from '../client.ts';
import { type RunStatus, runs } from '../tables/index.ts';
import { appendStatus, type Claim, heldBy } from './events.ts';
import { AWAITING, cancelAwaiting, lockSiblings } from './grokking.ts';
import { type Page, type PageArgs, readPage } from './page.ts';
import { followParts } from './parts.ts';
import { changeRuns, endRuns, lockRuns, type Patch, type Run, tellWorkers, UNFINISHED } from './runChange.ts';
import { type RunFilter, whereRuns } from './runFilter.ts';

export type { Run } from './runChange.ts';
export { RUN_CONTROL_CHANNEL } from './runChange.ts';
export type { RunFilter } from './runFilter.ts';

type Given = Pick<
  typeof runs.$inferInsert,
  | 'seed'
  | 'datasetId'
  | 'datasetHash'
  | 'modelId'
  | 'initialModelId'
  | 'step'
  | 'phase'
  | 'corpusId'
  | 'alignmentRunId'
  | 'baselineRunId'
  | 'analysisRunId'
  | 'codeVersion'
>;
export type NewRun = { [K in RunKind]: Given & { kind: K; settings: RunSettings[K] } }[RunKind];

/** Stores a run as QUEUED; putting it into the job queue, in the same transaction, is the caller's part. */
export async function insertRun(db: Executor, run: NewRun): Promise<Run> {
  return db.transaction(async (tx) => {
    const [stored] = await tx
      .insert(runs)
      .values({ ...run, lastSeq: 1 })
      .returning();
    await appendStatus(tx, stored!);
    return stored!;
  });
}

/** The same for the parts of a run; read by creation and id, they come in the order given. */
export async function insertParts(db: Executor, parent: Run, parts: readonly NewRun[]): Promise<Run[]> {
  // One instant creates them all, so that their ids alone order them.
  const ids = parts.map(() => randomUUID()).sort();
  return db.transaction(async (tx) => {
    const stored = await tx
      .insert(runs)
      .values(parts.map((part, i) => ({ ...part, id: ids[i]!, parentId: parent.id, lastSeq: 1 })))
      .returning();
    for (const part of stored) await appendStatus(tx, part);
    return stored;
  });
}

/** The run, or null if there is none. */
export async function readRun(db: Executor, id: string): Promise<Run | null> {
  const [run] = await db.select().from(runs).where(eq(runs.id, id));
  return run ?? null;
}

/**
 * Gives a queued run to a worker; null if it is not queued (cancelled meanwhile, or in other hands). The
 * returned run's `attempt` is the worker's fence for every later write.
 */
export function claimRun(
  db: Executor,
  { runId, workerId, backend }: { runId: string; workerId: string; backend: string },
): Promise<Run | null> {
  return change(db, and(eq(runs.id, runId), eq(runs.status, 'QUEUED'), not(DEADLY)), {
    status: 'RUNNING',
    phase: 'STARTING',
    workerId,
    backend,
    attempt: sql`${runs.attempt} + 1`,
    startedAt: sql`coalesce(${runs.startedAt}, now())`,
  });
}

/** Puts a run back into the queue, keeping its checkpoint: its worker shuts down. Null if the claim is void. */
export function releaseRun(db: Executor, claim: Claim): Promise<Run | null> {
  return change(db, heldBy(claim), REQUEUED);
}

/** The same for every run of workers that are gone; returns those runs. Those of workers that `died` count it. */
export async function requeueRunsOf(
  db: Executor,
  workerIds: readonly string[],
  { died = false } = {},
): Promise<Run[]> {
  if (workerIds.length === 0) return [];
  return db.transaction(async (tx) => {
    const ids = await lockRuns(tx, and(eq(runs.status, 'RUNNING'), inArray(runs.workerId, [...workerIds])));
    const deaths = died ? { deaths: sql`${runs.deaths} + 1` } : {};
    return changeAll(tx, inArray(runs.id, ids), { ...REQUEUED, ...deaths });
  });
}

/** Workers that may die with a run, one after the other, before it counts as what kills them. */
const MAX_DEATHS = 3;

/** Queued runs that have killed so many workers without getting on that none takes them any more. */
export const DEADLY = sql`(${runs.status} = 'QUEUED' and ${runs.deaths} >= ${sql.raw(String(MAX_DEATHS))})`;

/** Ends the runs that no worker takes any more; returns them. */
export async function failDeadlyRuns(db: Executor): Promise<Run[]> {
  const deadly = await db.select({ id: runs.id }).from(runs).where(DEADLY);
  const failed: Run[] = [];
  // One at a time: ending a run locks its siblings.
  for (const { id } of deadly) {
    const run = await endOne(db, and(eq(runs.id, id), DEADLY), {
      status: 'FAILED',
      errorCode: 'ENGINE_FAILED',
      errorMessage: `${MAX_DEATHS} workers died with this run, one after the other, without its reaching a new checkpoint or a step that none had reached; most likely they ran out of memory: try a smaller batch size, model or nFree.`,
    });
    if (run) failed.push(run);
  }
  return failed;
}

/** Says that a run got on, in the transaction that stores how far: what killed its workers before is behind it. */
export async function forgetDeaths(tx: Executor, runId: string): Promise<void> {
  await tx
    .update(runs)
    .set({ deaths: 0 })
    .where(and(eq(runs.id, runId), gt(runs.deaths, 0)));
}

/** Reports how far a run is; `progress` is 0–1 over the whole run. False if the claim is void. */
export async function reportProgress(
  db: Executor,
  claim: Claim,
  { phase, progress, etaSeconds }: { phase: Phase; progress: number; etaSeconds: number | null },
): Promise<boolean> {
  return (await change(db, heldBy(claim), { phase, progress, etaSeconds })) !== null;
}

/** Ends a run well. Null, changing nothing, if the claim is void. */
export function finishRun(
  db: Executor,
  claim: Claim,
  outcome: { modelId?: string; artifactHash?: string; result?: RunResults[RunKind] },
): Promise<Run | null> {
  return endOne(db, heldBy(claim), { ...outcome, status: 'SUCCEEDED', phase: 'DONE', progress: 1 });
}

/** Ends a run with an error that may be shown to the caller. Null if the claim is void. */
export function failRun(
  db: Executor,
  claim: Claim,
  error: { code: string; message: string },
): Promise<Run | null> {
  return endOne(db, heldBy(claim), {
    status: 'FAILED',
    errorCode: error.code,
    errorMessage: shownText(error.message),
  });
}

/**
 * Cancels a run and the parts that it has, whoever works on them: the claims are void at once, and the workers are
 * told to stop. `parts` are those that were cancelled with it.
 *
 * @throws AppError NOT_FOUND, or CONFLICT if the run has ended already.
 */
export async function cancelRun(db: Executor, id: string): Promise<{ run: Run; parts: Run[] }> {
  return db.transaction(async (tx) => {
    // Parts before their parent, as everyone locks them.
    const ids = await lockRuns(tx, and(eq(runs.parentId, id), UNFINISHED));
    const parts = await endRuns(tx, inArray(runs.id, ids), { status: 'CANCELLED' });
    const [run] = await end(tx, and(eq(runs.id, id), UNFINISHED), { status: 'CANCELLED' });
    if (!run) throw await whyNotCancelled(tx, id);
    await tellWorkers(tx, [run, ...parts]);
    return { run, parts };
  });
}

async function whyNotCancelled(tx: Executor, id: string): Promise<AppError> {
  const run = await readRun(tx, id);
  if (!run) return notFound('Run', id);
  return new AppError('CONFLICT', `run ${id} has ended already: it is ${run.status}`);
}

const ORDERS = {
  CREATED_AT: [runs.createdAt, runs.id],
  NAME: [runs.name, runs.createdAt, runs.id],
  KIND: [runs.kind, runs.createdAt, runs.id],
  STATUS: [runs.status, runs.createdAt, runs.id],
} as const;
export interface RunOrder {
  field: keyof typeof ORDERS;
  direction: 'asc' | 'desc';
}

/** Runs that fit the filter, newest first unless another order is given. */
export function listRuns(
  db: Executor,
  filter: RunFilter,
  args: PageArgs,
  { field, direction }: RunOrder = { field: 'CREATED_AT', direction: 'desc' },
): Promise<Page<Run>> {
  return readPage(db, runs, { where: whereRuns(filter), order: { columns: ORDERS[field], direction } }, args);
}

/** How many runs wait for a worker and how many are being worked on; those that no worker can take do not count. */
export async function countQueue(db: Executor): Promise<{ queued: number; running: number }> {
  const rows = await db
    .select({ status: runs.status, n: count() })
    .from(runs)
    .where(and(UNFINISHED, notInArray(runs.kind, [...PARENT_KINDS]), not(AWAITING)))
    .groupBy(runs.status);
  const of = (status: RunStatus) => rows.find((row) => row.status === status)?.n ?? 0;
  return { queued: of('QUEUED'), running: of('RUNNING') };
}

/** How many runs there are of each kind in each state, parts included. */
export function countRuns(db: Executor): Promise<{ kind: RunKind; status: RunStatus; n: number }[]> {
  return db
    .select({ kind: runs.kind, status: runs.status, n: count() })
    .from(runs)
    .groupBy(runs.kind, runs.status);
}

/** Running runs of these workers. */
export function listRunsOf(db: Executor, workerIds: readonly string[]): Promise<Run[]> {
  return db
    .select()
    .from(runs)
    .where(and(eq(runs.status, 'RUNNING'), inArray(runs.workerId, [...workerIds])))
    .orderBy(runs.createdAt, runs.id);
}

/** Which of these runs have been cancelled. */
export async function listCancelled(db: Executor, ids: readonly string[]): Promise<string[]> {
  const rows = await db
    .select({ id: runs.id })
    .from(runs)
    .where(and(inArray(runs.id, [...ids]), eq(runs.status, 'CANCELLED')));
  return rows.map((row) => row.id);
}

const REQUEUED: Patch = { status: 'QUEUED', phase: 'QUEUED', workerId: null, etaSeconds: null };

async function change(db: Executor, where: SQL | undefined, patch: Patch): Promise<Run | null> {
  const [run] = await changeAll(db, where, patch);
  return run ?? null;
}

function changeAll(db: Executor, where: SQL | undefined, patch: Patch): Promise<Run[]> {
  return db.transaction(async (tx) => {
    const changed = await changeRuns(tx, where, patch);
    await followParts(tx, changed, 'status' in patch ? 'STATUS' : 'PROGRESS');
    return changed;
  });
}

function end(db: Executor, where: SQL | undefined, patch: Patch): Promise<Run[]> {
  return db.transaction(async (tx) => {
    await lockSiblings(tx, where);
    const ended = await endRuns(tx, where, patch);
    await followParts(tx, [...ended, ...(await cancelAwaiting(tx, ended))], 'STATUS');
    return ended;
  });
}

async function endOne(db: Executor, where: SQL | undefined, patch: Patch): Promise<Run | null> {
  const [run] = await end(db, where, patch);
  return run ?? null;
}
