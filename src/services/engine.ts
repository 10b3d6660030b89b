/** What does the computing: backend, devices, the queue, and the workers that are alive. */
import type { ArtifactStore } from '../db/artifactStore.ts';
import type { Db, Executor } from '../db/client.ts';
import { readByIds } from '../db/queries/byIds.ts';
import { listRunsOf, type Run } from '../db/queries/runs.ts';
import { listWorkers, type Worker } from '../db/queries/workers.ts';
import { workers } from '../db/tables/index.ts';
import type {
  BackendInfo,
  CallMethod,
  CallParams,
  CallResult,
  StreamItem,
  StreamMethod,
  StreamParams,
} from '../engine/contract/protocol.ts';

/** The engine of this process, for work that a caller waits for. */
export interface Engine {
  call<M extends CallMethod>(method: M, params: CallParams<M>): Promise<CallResult<M>>;
  /** Items as they are made; `return` ends the work. */
  stream<M extends StreamMethod>(method: M, params: StreamParams<M>): AsyncIterableIterator<StreamItem<M>>;
  info(): Promise<BackendInfo>;
}

/** What engine work on stored runs needs of its surroundings. */
export interface EngineWork {
  db: Db;
  store: ArtifactStore;
  /** Serves swaps from a process of its own. */
  engine: Engine;
}

export { countQueue } from '../db/queries/runs.ts';
export { listWorkers, type Worker } from '../db/queries/workers.ts';

/** For each id its worker, alive or not, or null. */
export function workersByIds(db: Executor, ids: readonly string[]): Promise<(Worker | null)[]> {
  return readByIds(db, workers, workers.id, ids);
}

/** For each worker the runs that it is working on. */
export async function runsOfWorkers(db: Executor, workerIds: readonly string[]): Promise<Run[][]> {
  const running = await listRunsOf(db, workerIds);
  return workerIds.map((id) => running.filter((run) => run.workerId === id));
}

/**
 * The backend of the longest-serving worker; where none is alive, that of this process's own engine.
 * @throws AppError UNAVAILABLE when there is neither.
 */
export async function readBackend(db: Executor, ownEngine: Pick<Engine, 'info'>): Promise<BackendInfo> {
  const [worker] = await listWorkers(db);
  if (!worker) return ownEngine.info();
  const { backend, tensorflowVersion, devices, fallbackReason, products } = worker;
  return { backend: backend as BackendInfo['backend'], tensorflowVersion, devices, fallbackReason, products };
}
