/** The child's side of reporting: batches metrics, throttles progress, paces checkpoints and applies back-pressure. */
import { setImmediate as turnOfTheLoop } from 'node:timers/promises';
import type { ModelSnapshot } from './contract/model.ts';
import type { ChildMessage, JobReporter, MetricRow, Progress } from './contract/protocol.ts';
import type { SweepCell } from './contract/swapSweep.ts';
import type { WrittenFile } from './contract/writtenFile.ts';

/** Time between two batches of metrics; a subscriber sees a row within 100 ms of its measurement. */
const METRICS_EVERY_MS = 20;
const PROGRESS_EVERY_MS = 500;
/** Rows that may wait to be stored before training pauses: bounds the host's memory while the database is away. */
const MAX_UNSTORED_ROWS = 20_000;

/** Between two checkpoints training goes on for at least so many times what the last one took of its time. */
const TRAINING_PER_CHECKPOINT = 10;

export class ChildReporter implements JobReporter {
  readonly #send: (message: ChildMessage) => void;
  readonly #checkpointEveryMs: number;
  readonly #metrics = new Throttle(METRICS_EVERY_MS, () => this.#sendMetrics());
  readonly #progress = new Throttle(PROGRESS_EVERY_MS, () => this.#sendProgress());
  #rows: MetricRow[] = [];
  #unstoredRows = 0;
  #phase: Progress['phase'] | null = null;
  #latest: Progress | null = null;
  /** Null until training begins: what comes before is done again faster than a checkpoint is read. */
  #lastCheckpointAt: number | null = null;
  /** When the one that is being made was found due, and how long training stood still for the last. */
  #checkpointBegun = 0;
  #checkpointTook = 0;
  #checkpointPending = false;
  #checkpointWanted = false;
  #stored: (() => void) | null = null;

  constructor(send: (message: ChildMessage) => void, checkpointEveryMs: number) {
    this.#send = send;
    this.#checkpointEveryMs = checkpointEveryMs;
  }

  metrics(row: MetricRow): void {
    this.#rows.push(row);
    this.#metrics.due();
  }

  progress(progress: Progress): void {
    const newPhase = progress.phase !== this.#phase;
    this.#phase = progress.phase;
    this.#latest = progress;
    if (newPhase) this.#progress.now();
    else this.#progress.due();
  }

  log(level: 'INFO' | 'WARN' | 'ERROR', message: string): void {
    this.flush();
    this.#send({ type: 'log', level, message, at: Date.now() });
  }

  part(cell: SweepCell): void {
    this.flush();
    this.#send({ type: 'part', cell });
  }

  snapshot(snapshot: ModelSnapshot): void {
    this.flush();
    this.#send({ type: 'snapshot', snapshot });
  }

  checkpointDue(): boolean {
    if (this.#checkpointPending) return false;
    this.#lastCheckpointAt ??= performance.now();
    const now = performance.now();
    const pause = Math.max(this.#checkpointEveryMs, TRAINING_PER_CHECKPOINT * this.#checkpointTook);
    const isDue = this.#checkpointWanted || now - this.#lastCheckpointAt >= pause;
    if (isDue) this.#checkpointBegun = now;
    return isDue;
  }

  async checkpoint(step: number, file: WrittenFile): Promise<void> {
    this.flush();
    this.#checkpointTook = performance.now() - this.#checkpointBegun;
    this.#checkpointPending = true;
    this.#checkpointWanted = false;
    this.#send({ type: 'checkpoint', step, file });
    await this.breathe();
  }

  async breathe(): Promise<void> {
    await turnOfTheLoop();
    while (this.#unstoredRows > MAX_UNSTORED_ROWS)
      await new Promise<void>((resolve) => {
        this.#stored = resolve;
      });
  }

  /** Sends what waits, so that whatever is sent next comes after it. */
  flush(): void {
    this.#metrics.now();
    this.#progress.now();
  }

  /** The host stored so many rows more. */
  onStored(rows: number): void {
    this.#unstoredRows -= rows;
    this.#stored?.();
  }

  /** The host has taken the last checkpoint over. */
  onCheckpointed(): void {
    this.#checkpointPending = false;
    this.#lastCheckpointAt = performance.now();
  }

  /** The host wishes for a checkpoint as soon as possible. */
  onWantCheckpoint(): void {
    this.#checkpointWanted = true;
  }

  #sendMetrics(): void {
    if (this.#rows.length === 0) return;
    this.#unstoredRows += this.#rows.length;
    this.#send({ type: 'metrics', rows: this.#rows });
    this.#rows = [];
  }

  #sendProgress(): void {
    if (!this.#latest) return;
    this.#send({ type: 'progress', progress: this.#latest });
    this.#latest = null;
  }
}

/** Runs an action at once if it has rested for `everyMs`, otherwise when it has; never twice for one demand. */
class Throttle {
  readonly #everyMs: number;
  readonly #action: () => void;
  #lastAt = Number.NEGATIVE_INFINITY;
  #timer: NodeJS.Timeout | null = null;

  constructor(everyMs: number, action: () => void) {
    this.#everyMs = everyMs;
    this.#action = action;
  }

  due(): void {
    if (this.#timer) return;
    const wait = this.#lastAt + this.#everyMs - performance.now();
    if (wait <= 0) this.now();
    else this.#timer = setTimeout(() => this.now(), wait);
  }

  now(): void {
    if (this.#timer) clearTimeout(this.#timer);
    this.#timer = null;
    this.#lastAt = performance.now();
    this.#action();
  }
}
