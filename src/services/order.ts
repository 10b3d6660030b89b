/** Starting runs on somebody's behalf: named, by urgency, and no more than may wait for one key. */
import { z } from 'zod';
import type { Db, Executor } from '../db/client.ts';
import { changePriority, countQueuedBy, noteOrder } from '../db/queries/orders.ts';
import { type Run, readRun } from '../db/queries/runs.ts';
import { AppError, notFound, parseOrThrow } from '../errors.ts';
import { moveInQueue } from '../jobs/queue.ts';
import { checkLabels, type Labels, label } from './labels.ts';

/** Priorities are whole numbers from -10 to 10. */
export const MAX_PRIORITY = 10;

const RANGE = `must be a whole number from ${-MAX_PRIORITY} to ${MAX_PRIORITY}`;
const prioritySchema = z.object({
  priority: z
    .int({ error: RANGE })
    .min(-MAX_PRIORITY, { error: RANGE })
    .max(MAX_PRIORITY, { error: RANGE })
    .default(0),
});

/** For whom a run is started. */
export interface Client {
  /** Id of the key; null or left out where there is none. */
  apiKeyId?: string | null;
  /** Runs of one key that may wait at a time. */
  maxQueued: number;
}

export interface NewOrder extends Labels {
  priority?: number;
  /** The run that is tried again, or changed. */
  copyOfId?: string;
}

/**
 * Starts a run in one transaction with all that is said of it; nothing is made where any of it is not acceptable.
 * @throws AppError INVALID_INPUT naming the field; LIMIT_EXCEEDED where too many of the client's runs would wait; what
 *   `start` throws.
 */
export async function placeOrder(
  db: Db,
  { apiKeyId = null, maxQueued }: Client,
  { priority: asked, copyOfId, ...labels }: NewOrder,
  start: (tx: Executor) => Promise<Run>,
): Promise<Run> {
  const checked = checkLabels('Run', labels);
  const { priority } = parseOrThrow(prioritySchema, { priority: asked });
  return db.transaction(async (tx) => {
    const { id } = await start(tx);
    const ids = await noteOrder(tx, id, { apiKeyId, priority, copyOfId });
    if (priority !== 0) await moveInQueue(tx, ids);
    const queued = await countQueuedBy(tx, apiKeyId);
    if (queued > maxQueued) throw tooMany(apiKeyId, queued, maxQueued);
    return label(tx, 'Run', id, checked);
  });
}

function tooMany(apiKeyId: string | null, queued: number, maxQueued: number): AppError {
  const whose = apiKeyId === null ? 'runs started without a key' : 'runs of this API key';
  return new AppError(
    'LIMIT_EXCEEDED',
    `${queued} ${whose} would wait, counting parts; accepted are ${maxQueued} (MAX_QUEUED_RUNS): wait until some have been taken up, or cancel some`,
  );
}

/**
 * Changes how urgent a run and its parts are; those that work go on, and have their new place if they come back.
 * @throws AppError INVALID_INPUT; NOT_FOUND; CONFLICT when it has ended.
 */
export async function setRunPriority(db: Db, id: string, asked: number): Promise<Run> {
  const { priority } = parseOrThrow(prioritySchema, { priority: asked });
  return db.transaction(async (tx) => {
    const changed = await changePriority(tx, id, priority);
    if (changed) {
      await moveInQueue(tx, changed.ids);
      return changed.run;
    }
    const run = await readRun(tx, id);
    if (!run) throw notFound('Run', id);
    throw new AppError('CONFLICT', `run ${id} has ended already: it is ${run.status}`);
  });
}
