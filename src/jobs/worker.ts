/** A worker: takes runs off the queue, executes them, and looks after those of workers that died. */
import { randomUUID } from 'node:crypto';
import { rm } from 'node:fs/promises';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { type Runner, run as startRunner } from 'graphile-worker';
import type { ArtifactStore } from '../db/artifactStore.ts';
import type { Database } from '../db/client.ts';
import type { Notifications } from '../db/notifications.ts';
import { claimRun } from '../db/queries/runs.ts';
import { createRunControl, type RunControl } from '../db/runControl.ts';
import { announceWorker, type WorkerPresence } from '../db/workerPresence.ts';
import type { BackendInfo } from '../engine/contract/protocol.ts';
import type { Logger } from '../log.ts';
import { RunExecution } from './execution.ts';
import type { EngineOptions } from './host.ts';
import { enqueueRun, giveBack, queueOptions, type RunTask, readTaskName } from './queue.ts';
import { withRetry } from './retry.ts';
import { Sweeper } from './sweeper.ts';

export interface WorkerOptions {
  database: Database;
  store: ArtifactStore;
  notifications: Notifications;
  engine: EngineOptions;
  /** What `probeEngine` found with these options; others see it next to the worker. */
  info: BackendInfo;
  /** Local directory for files of runs at work; workers on one machine may share it. */
  workRoot: string;
  /** Runs at a time. */
  concurrency: number;
  checkpointEveryMs: number;
  /** Longest wait for a checkpoint while stopping. */
  drainMs: number;
  log: Logger;
}

const HEARTBEAT_MS = 1000;
const SWEEP_MS = 500;
const RESTART_MS = 1000;

/** Starts a worker; resolves when it is registered and takes runs. The queue's tables must exist. */
export async function startWorker(options: WorkerOptions): Promise<RunWorker> {
  const worker = new RunWorker(options);
  await worker.start();
  return worker;
}

export class RunWorker {
  readonly #options: WorkerOptions;
  readonly #log: Logger;
  readonly #control: RunControl;
  readonly #sweeper: Sweeper;
  readonly #executions = new Set<RunExecution>();
  /** Runs being claimed, which are not executed yet. */
  readonly #claiming = new Set<string>();
  /** Resolves to the presence under which runs are claimed; another one after this worker was declared dead. */
  #presence: Promise<WorkerPresence>;
  #runner: Runner | null = null;
  #queue: Promise<void> = Promise.resolve();
  #sweeping: NodeJS.Timeout | null = null;
  readonly #stopping = new AbortController();

  constructor(options: WorkerOptions) {
    this.#options = options;
    this.#log = options.log;
    const { db } = options.database;
    this.#control = createRunControl(db, options.notifications, options.log);
    this.#presence = this.#announce();
    this.#sweeper = new Sweeper(options);
  }

  async start(): Promise<void> {
    const { worker } = await this.#presence;
    await this.#sweeper.removeLeftovers();
    await new Promise<void>((started) => {
      this.#queue = this.#keepTaking(started);
    });
    this.#sweepLater();
    this.#log.info({ worker: worker.id, ...this.#options.info }, 'the worker takes runs');
  }

  /** Process ids of the engines at work. */
  get enginePids(): number[] {
    return [...this.#executions].flatMap(({ enginePid }) => enginePid ?? []);
  }

  /**
   * Takes no more runs, gives those at work back to the queue with a fresh checkpoint, and leaves. Resolves when no
   * engine process is left.
   */
  async stop(): Promise<void> {
    this.#stopping.abort();
    if (this.#sweeping) clearTimeout(this.#sweeping);
    await Promise.all([
      this.#runner?.stop().catch((error) => this.#log.warn({ err: error }, 'the queue stopped badly')),
      ...[...this.#executions].map((execution) => execution.drain(this.#options.drainMs)),
    ]);
    await this.#queue;
    this.#control.close();
    await this.#leave().catch((error) =>
      this.#log.warn({ err: error }, 'others have to find out by themselves'),
    );
  }

  async #leave(): Promise<void> {
    const { database, workRoot } = this.#options;
    const presence = await this.#presence;
    for (const { id } of await presence.close()) await enqueueRun(database.db, id);
    await rm(join(workRoot, presence.worker.id), { recursive: true, force: true });
  }

  async #announce(): Promise<WorkerPresence> {
    const { backend, tensorflowVersion, devices, fallbackReason, products } = this.#options.info;
    return announceWorker(
      this.#options.database,
      {
        id: randomUUID(),
        hostname: hostname(),
        pid: process.pid,
        backend,
        tensorflowVersion,
        devices,
        fallbackReason,
        products,
      },
      { log: this.#log, heartbeatMs: HEARTBEAT_MS, onDeclaredDead: () => this.#comeBack() },
    );
  }

  /** Others took this worker for dead and have its runs. */
  #comeBack(): void {
    this.#log.warn('this worker was cut off for so long that others took its runs over');
    for (const execution of this.#executions) execution.abort();
    const before = this.#presence;
    this.#presence = withRetry(
      async () => {
        await (await before).close();
        return this.#announce();
      },
      this.#log,
      this.#stopping.signal,
    );
    this.#presence.catch((error) => this.#log.error({ err: error }, 'this worker could not come back'));
  }

  async #keepTaking(onStarted: () => void): Promise<void> {
    while (!this.#stopping.signal.aborted) {
      try {
        const runner = await this.#startRunner();
        if (this.#stopping.signal.aborted) return await runner.stop();
        this.#runner = runner;
        onStarted();
        await runner.promise;
      } catch (error) {
        this.#log.warn({ err: error }, 'the queue was lost; taking it up again');
      }
      if (!this.#stopping.signal.aborted) await delay(RESTART_MS);
    }
  }

  async #startRunner(): Promise<Runner> {
    const { database, concurrency } = this.#options;
    const taskName = await readTaskName(database.db);
    return startRunner({
      ...queueOptions(database.pool, this.#log),
      concurrency,
      noHandleSignals: true,
      parsedCronItems: [],
      taskList: { [taskName]: (task) => this.#take((task as RunTask).runId) },
      // Batched, a completion is retried while Postgres restarts; otherwise it would be an unhandled rejection.
      preset: { worker: { completeJobBatchDelay: 0, failJobBatchDelay: 0 } },
    });
  }

  async #take(runId: string): Promise<void> {
    const { db } = this.#options.database;
    if (this.#stopping.signal.aborted) return enqueueRun(db, runId);
    this.#claiming.add(runId);
    try {
      const { worker } = await this.#presence;
      const claim = { runId, workerId: worker.id, backend: this.#options.info.backend };
      const run = await withRetry(() => claimRun(db, claim), this.#log, this.#stopping.signal);
      if (!run) return;
      // `stop` drains the executions that it sees; this one would come too late.
      if (this.#stopping.signal.aborted) return await giveBack(db, run);
      const { workRoot } = this.#options;
      const execution = new RunExecution({ ...this.#options, db, workRoot: join(workRoot, worker.id) }, run);
      this.#executions.add(execution);
      const unwatch = this.#control.watch(runId, () => execution.abort());
      this.#claiming.delete(runId);
      await execution.finished;
      unwatch();
      this.#executions.delete(execution);
    } finally {
      this.#claiming.delete(runId);
    }
  }

  #isBusyWith(runId: string): boolean {
    return this.#claiming.has(runId) || [...this.#executions].some(({ run }) => run.id === runId);
  }

  #sweepLater(): void {
    this.#sweeping = setTimeout(() => void this.#sweep(), SWEEP_MS);
  }

  async #sweep(): Promise<void> {
    try {
      const { worker } = await this.#presence;
      await this.#sweeper.sweep(worker.id, (runId) => this.#isBusyWith(runId));
    } catch (error) {
      this.#log.warn({ err: error }, 'the sweep failed; the next one follows');
    }
    if (!this.#stopping.signal.aborted) this.#sweepLater();
  }
}
