/** A worker's sign of life: a session advisory lock, which Postgres frees when the process is gone. */
import { drizzle } from 'drizzle-orm/node-postgres';
import type { Database, Executor } from './client.ts';
import type { DbLog } from './log.ts';
import type { Run } from './queries/runs.ts';
import {
  endWorkers,
  heartbeat,
  lockWorker,
  type NewWorker,
  registerWorker,
  type Worker,
} from './queries/workers.ts';
import { keepSession } from './session.ts';
import * as tables from './tables/index.ts';

const HEARTBEAT_MS = 2_000;

export interface PresenceOptions {
  log: DbLog;
  heartbeatMs?: number;
  /**
   * Called, once, if others have declared this worker dead because it was cut off for too long. Its runs belong
   * to others now: it must drop them, and come back as a new worker.
   */
  onDeclaredDead(): void;
}

export interface WorkerPresence {
  worker: Worker;
  /** Leaves in order; returns runs the worker still held, which are queued again. */
  close(): Promise<Run[]>;
}

/** Registers a worker; resolves when its lock is held. */
export async function announceWorker(
  { db, connectionString }: Pick<Database, 'db' | 'connectionString'>,
  newWorker: NewWorker,
  options: PresenceOptions,
): Promise<WorkerPresence> {
  const worker = await registerWorker(db, newWorker);
  let declaredDead = false;
  const beat = async (executor: Executor) => {
    if (declaredDead || (await heartbeat(executor, worker.id))) return;
    declaredDead = true;
    options.onDeclaredDead();
  };
  const session = keepSession({
    connectionString,
    applicationName: `alignsae worker ${worker.lockKey}`,
    log: options.log,
    probeMs: options.heartbeatMs ?? HEARTBEAT_MS,
    // On this very connection, so that a heartbeat proves that the lock is held.
    probe: (client) => beat(drizzle({ client, schema: tables })),
    async onConnect(client) {
      const executor = drizzle({ client, schema: tables });
      // Waits for the session before this one, if Postgres has not noticed its end yet.
      await lockWorker(executor, worker.lockKey);
      await beat(executor);
    },
  });
  await session.ready;
  return {
    worker,
    async close() {
      await session.close();
      return endWorkers(db, [worker.id]);
    },
  };
}
