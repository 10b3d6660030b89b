/** One claimed run from its first fork to its end, through crashes of the engine; leaves no process and no file. */
import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { ArtifactUnusable } from '../db/artifactIntegrity.ts';
import type { ArtifactLease, ArtifactStore } from '../db/artifactStore.ts';
import type { Db } from '../db/client.ts';
import { collectArtifact } from '../db/queries/artifacts.ts';
import { type Checkpoint, readCheckpoint, replaceCheckpoint } from '../db/queries/checkpoints.ts';
import type { Claim } from '../db/queries/events.ts';
import { asEngineRun } from '../db/queries/runOf.ts';
import { failRun, type Run } from '../db/queries/runs.ts';
import { whyTransient } from '../db/transient.ts';
import type { ModelSnapshot } from '../engine/contract/model.ts';
import type { WrittenFile } from '../engine/contract/writtenFile.ts';
import { AppError } from '../errors.ts';
import type { Logger } from '../log.ts';
import { hasCheckpoints, loadJob } from '../runs/index.ts';
import type { ExecutionState } from './executionState.ts';
import { EngineCrash, type EngineOptions, type EngineProcess, forkEngine, runEngineJob } from './host.ts';
import { giveBack } from './queue.ts';
import { storeResult, storeSnapshot } from './results.ts';
import { withRetry } from './retry.ts';
import { type Outcome, RunTrace } from './runTrace.ts';
import { RunLost, RunWriter } from './writer.ts';

export interface ExecutionOptions {
  db: Db;
  store: ArtifactStore;
  engine: EngineOptions;
  /** Directory on a local disk under which runs get theirs. */
  workRoot: string;
  checkpointEveryMs: number;
  /** Longest wait for a checkpoint when the run is to be given back. */
  drainMs: number;
  log: Logger;
}

/** Between two attempts of an engine whose disk is full. */
const SPACE_WAIT_MS = 5000;

/** Crashes without a new checkpoint in between after which a run has failed. */
const MAX_CRASHES = 3;

export class RunExecution {
  readonly run: Run;
  /** Resolves when the run is over for this worker: no process, no file, nothing that still writes. Never rejects. */
  readonly finished: Promise<void>;
  readonly #options: ExecutionOptions;
  readonly #claim: Claim;
  readonly #log: Logger;
  readonly #writer: RunWriter;
  readonly #trace: RunTrace;
  readonly #workDir: string;
  /** What the engine reads stays where it is until the run is over here. */
  readonly #lease: ArtifactLease;
  readonly #end = new AbortController();
  #state: ExecutionState = { at: 'IDLE' };
  /** Checkpoints and snapshots are stored one after the other. */
  #checkpoints: Promise<void> = Promise.resolve();
  #crashes = 0;
  #checkpointHash: string | null = null;
  /** The checkpoint that the present attempt of the engine goes on from, and one that it did not take. */
  #resumedFrom: string | null = null;
  #refused: string | null = null;

  constructor(options: ExecutionOptions, run: Run) {
    this.run = run;
    this.#options = options;
    this.#lease = options.store.lease();
    this.#claim = { runId: run.id, attempt: run.attempt };
    this.#log = options.log.child({ runId: run.id, attempt: run.attempt });
    this.#writer = new RunWriter(options.db, this.#claim, this.#log, (error) => this.#onWriteFailure(error));
    this.#trace = new RunTrace(run);
    this.#workDir = join(options.workRoot, `${run.id}-${run.attempt}`);
    this.finished = this.#execute();
  }

  /** Process id of the engine at work; null between two. */
  get enginePid(): number | null {
    return this.#engine?.pid ?? null;
  }

  /** Ends the engine at once and writes nothing more: the run is cancelled, or somebody else's. */
  abort(): void {
    this.#abandon(new RunLost(this.#claim));
  }

  /**
   * Asks for a checkpoint, waits at most `waitMs` for it, ends the engine and puts the run back into the queue, so
   * that another worker takes it at once.
   */
  async drain(waitMs: number): Promise<void> {
    const checkpoint = this.#wantCheckpoint();
    if (checkpoint) {
      const stop = new AbortController();
      const timeout = delay(waitMs, undefined, { signal: stop.signal }).catch(() => {});
      await Promise.race([checkpoint, this.finished, timeout]);
      stop.abort();
    }
    this.abort();
    await this.finished;
    await withRetry(() => giveBack(this.#options.db, this.run), this.#log, AbortSignal.timeout(waitMs)).catch(
      (error) => this.#log.warn({ err: error }, 'the run is left for others to find'),
    );
  }

  /** Resolves at the next checkpoint; null where none can be had. */
  #wantCheckpoint(): Promise<void> | null {
    const state = this.#state;
    if (state.at === 'DRAINING') return state.checkpoint;
    if (state.at !== 'WORKING' || !state.resumable) return null;
    const { engine } = state;
    let onCheckpoint = () => {};
    const checkpoint = new Promise<void>((resolve) => {
      onCheckpoint = resolve;
    });
    this.#enter({ at: 'DRAINING', engine, checkpoint, onCheckpoint });
    engine.send({ type: 'wantCheckpoint' });
    return checkpoint;
  }

  async #execute(): Promise<void> {
    let outcome: Outcome = 'LEFT';
    try {
      await this.#persist(() => mkdir(this.#workDir, { recursive: true }));
      this.#trace.enter('STARTING');
      await this.#workThroughCrashes();
      outcome = 'SUCCEEDED';
    } catch (error) {
      // Once abandoned, the run is no longer this worker's to judge.
      if (!this.#isAbandoned() && !(error instanceof RunLost)) {
        outcome = 'FAILED';
        await this.#fail(error).catch((err) => this.#log.error({ err }, 'the failure could not be stored'));
      }
    } finally {
      this.#trace.end(outcome);
      this.#writer.stop();
      await this.#engine?.kill();
      await this.#checkpoints;
      this.#lease.release();
      await this.#cleanUp().catch((error) => this.#log.warn({ err: error }, 'the clean-up is not complete'));
    }
  }

  async #workThroughCrashes(): Promise<void> {
    for (;;) {
      try {
        await this.#work();
        return;
      } catch (error) {
        if (error instanceof EngineCrash) {
          this.#throwIfBroken();
          await this.#recover(error);
        } else if (whyTransient(error) === 'FULL') await this.#waitForSpace(error);
        else if (this.#isRefusedCheckpoint(error)) await this.#startOver(error);
        else throw error;
      }
    }
  }

  async #work(): Promise<void> {
    const { db, store, engine: options, checkpointEveryMs } = this.#options;
    const run = asEngineRun(this.run);
    const job = await this.#persist(() => loadJob(db, this.#lease.store, run));
    const checkpoint = await this.#persist(() => readCheckpoint(db, this.run.id));
    this.#checkpointHash = checkpoint?.artifactHash ?? null;
    const resumeFrom = checkpoint && (await this.#openCheckpoint(checkpoint));
    this.#resumedFrom = resumeFrom && this.#checkpointHash;
    this.#end.signal.throwIfAborted();
    this.#throwIfBroken();
    const engine = forkEngine({ ...options, log: this.#log });
    this.#enter({ at: 'WORKING', engine, resumable: false });
    await engine.ready;
    this.#enter({ at: 'WORKING', engine, resumable: hasCheckpoints(run.kind) });
    const order = { job, resumeFrom, workDir: this.#workDir, checkpointEveryMs };
    const result = await runEngineJob(engine, order, {
      metrics: (rows) => this.#writer.metrics(rows, () => engine.send({ type: 'stored', rows: rows.length })),
      progress: (progress) => {
        this.#trace.enter(progress.phase);
        this.#writer.progress(progress);
      },
      log: (level, message, at) => this.#writer.log(level, message, at),
      part: (cell) => {
        this.#crashes = 0;
        this.#writer.cell(cell);
      },
      snapshot: (snapshot) => {
        this.#checkpoints = this.#checkpoints.then(() => this.#storeSnapshot(snapshot));
      },
      checkpoint: (step, file) => {
        this.#checkpoints = this.#checkpoints.then(() => this.#storeCheckpoint(engine, step, file));
      },
    });
    this.#enter({ at: 'STORING', engine });
    await this.#checkpoints;
    await this.#writer.flush();
    this.#throwIfBroken();
    await this.#persist(() => storeResult(db, store, run, result));
  }

  /** Where the checkpoint lies; null where it cannot be used, for then the run starts over. */
  async #openCheckpoint({ step, artifactHash }: Checkpoint): Promise<string | null> {
    if (artifactHash === this.#refused) return null;
    try {
      const { store } = this.#lease;
      return await this.#persist(() => store.path(artifactHash, `the checkpoint at step ${step}`));
    } catch (error) {
      if (!(error instanceof ArtifactUnusable)) throw error;
      this.#log.error({ err: error, step }, 'a checkpoint is lost; the run starts over');
      this.#writer.log('WARN', `${error.message} The run starts over from its beginning.`);
      return null;
    }
  }

  /** Unlike a checkpoint, the run cannot do without it. */
  async #storeSnapshot(snapshot: ModelSnapshot): Promise<void> {
    if (this.#state.at === 'ABANDONED' || this.#state.at === 'BROKEN') return;
    try {
      const { db, store, drainMs } = this.#options;
      const behind = await this.#persist(() => storeSnapshot(db, store, this.run, snapshot));
      if (behind && this.#state.at === 'WORKING' && this.#state.resumable) {
        this.#log.info({ step: snapshot.step }, 'training makes way for the analyses that wait');
        void this.drain(drainMs);
      }
    } catch (error) {
      if (!this.#isAbandoned()) this.#onWriteFailure(error);
    }
  }

  async #storeCheckpoint(engine: EngineProcess, step: number, file: WrittenFile): Promise<void> {
    try {
      // Metrics first: a run that goes on from this step does not measure the earlier ones again.
      await this.#writer.flush();
      const { db, store } = this.#options;
      const held = await this.#persist(() => replaceCheckpoint(db, store, this.#claim, step, file));
      if (!held) throw new RunLost(this.#claim);
      this.#checkpointHash = file.sha256;
      this.#crashes = 0;
      if (this.#state.at === 'DRAINING') this.#state.onCheckpoint();
    } catch (error) {
      if (this.#isAbandoned()) return;
      if (error instanceof RunLost) return this.#abandon(error);
      // A run can do without this one; a full disk will speak up again at the end.
      this.#log.error({ err: error, step }, 'a checkpoint could not be stored');
      this.#writer.log('WARN', `The checkpoint at step ${step} could not be stored; training goes on.`);
      await rm(file.path, { force: true });
    }
    engine.send({ type: 'checkpointed' });
  }

  async #recover(crash: EngineCrash): Promise<void> {
    // What was to be given back goes back at once, from its last checkpoint.
    if (this.#state.at === 'DRAINING') this.#state.onCheckpoint();
    this.#enter({ at: 'IDLE' });
    this.#end.signal.throwIfAborted();
    await this.#checkpoints;
    await this.#writer.flush();
    this.#crashes += 1;
    this.#trace.crashed(crash.message);
    this.#log.warn({ exit: crash.exit, crashes: this.#crashes }, crash.message);
    if (this.#crashes >= MAX_CRASHES) {
      const message = `${crash.message}; it ended ${MAX_CRASHES} times without reaching a new checkpoint`;
      throw new AppError('ENGINE_FAILED', message, { cause: crash });
    }
    this.#writer.log('WARN', `${crash.message}. The run goes on from its last checkpoint.`);
  }

  /** The engine could not write a file; what it had reached is in the last checkpoint. */
  async #waitForSpace(error: unknown): Promise<void> {
    await this.#engine?.kill();
    if (this.#state.at === 'DRAINING') this.#state.onCheckpoint();
    this.#enter({ at: 'IDLE' });
    this.#end.signal.throwIfAborted();
    this.#log.warn({ err: error }, 'the engine has no space for its files; trying again');
    this.#writer.log(
      'WARN',
      'There is no space for the files of this run; it waits, and goes on from its last checkpoint.',
    );
    await delay(SPACE_WAIT_MS, undefined, { signal: this.#end.signal });
  }

  /** Whether the engine takes the checkpoint for another job's, as one is that an earlier version of this server wrote. */
  #isRefusedCheckpoint(error: unknown): error is AppError {
    return error instanceof AppError && error.code === 'CONFLICT' && this.#resumedFrom !== null;
  }

  async #startOver(error: AppError): Promise<void> {
    await this.#engine?.kill();
    if (this.#state.at === 'DRAINING') this.#state.onCheckpoint();
    this.#enter({ at: 'IDLE' });
    this.#end.signal.throwIfAborted();
    this.#refused = this.#resumedFrom;
    this.#log.warn({ err: error }, 'a checkpoint is refused; the run starts over');
    this.#writer.log(
      'WARN',
      `The engine refuses the checkpoint: ${error.message}. The run starts over from its beginning.`,
    );
  }

  async #fail(error: unknown): Promise<void> {
    this.#log.error({ err: error }, 'the run failed');
    const known = error instanceof AppError && error.code !== 'INTERNAL';
    const failure = known
      ? { code: error.code, message: error.message }
      : { code: 'INTERNAL', message: "The run failed unexpectedly; the server's log has the details." };
    await this.#engine?.kill();
    await this.#writer.flush();
    await this.#persist(() => failRun(this.#options.db, this.#claim, failure));
  }

  /** A checkpoint that is still the run's own stays. */
  async #cleanUp(): Promise<void> {
    await rm(this.#workDir, { recursive: true, force: true });
    const { db, store } = this.#options;
    if (this.#checkpointHash) await collectArtifact(db, store, this.#checkpointHash);
  }

  get #engine(): EngineProcess | null {
    return 'engine' in this.#state ? this.#state.engine : null;
  }

  #enter(next: ExecutionState): void {
    const { at } = this.#state;
    if (at === 'ABANDONED' || (at === 'BROKEN' && next.at !== 'ABANDONED')) return;
    this.#state = next;
  }

  #isAbandoned(): boolean {
    return this.#state.at === 'ABANDONED';
  }

  #throwIfBroken(): void {
    if (this.#state.at === 'BROKEN') throw this.#state.error;
  }

  #persist<T>(work: () => Promise<T>): Promise<T> {
    return withRetry(work, this.#log, this.#end.signal);
  }

  #onWriteFailure(error: unknown): void {
    if (error instanceof RunLost) this.#abandon(error);
    else {
      this.#enter({ at: 'BROKEN', engine: this.#engine, error });
      void this.#engine?.kill();
    }
  }

  #abandon(reason: unknown): void {
    if (this.#isAbandoned()) return;
    this.#enter({ at: 'ABANDONED', engine: this.#engine });
    this.#end.abort(reason);
    this.#writer.stop();
    void this.#engine?.kill();
  }
}
