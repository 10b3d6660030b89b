/** Stores what a running job reports, in batches as large as the database's pace makes them. */
import type { Db } from '../db/client.ts';
import { appendLogs, appendMetrics, type Claim, type LogLevel } from '../db/queries/events.ts';
import { reportProgress } from '../db/queries/runs.ts';
import { appendCell } from '../db/queries/sweepCells.ts';
import type { MetricRow, Progress } from '../engine/contract/protocol.ts';
import type { SweepCell } from '../engine/contract/swapSweep.ts';
import type { Logger } from '../log.ts';
import { shownText } from '../storedText.ts';
import { withRetry } from './retry.ts';

/** The run is no longer ours to write to: cancelled, or given to another worker. */
export class RunLost extends Error {
  constructor({ runId, attempt }: Claim) {
    super(`attempt ${attempt} of run ${runId} no longer holds`);
    this.name = 'RunLost';
  }
}

interface LogLine {
  level: LogLevel;
  message: string;
  at: number;
}

interface Batch {
  rows: MetricRow[];
  logs: LogLine[];
  cells: SweepCell[];
  progress: Progress | null;
  /** Called when the rows are stored. */
  stored: (() => void)[];
}

const emptyBatch = (): Batch => ({ rows: [], logs: [], cells: [], progress: null, stored: [] });

/** One writer a run. It has one write under way; meanwhile the next batch grows. It waits out a lost database. */
export class RunWriter {
  readonly #db: Db;
  readonly #claim: Claim;
  readonly #log: Logger;
  readonly #onFailure: (error: unknown) => void;
  readonly #stop = new AbortController();
  #next = emptyBatch();
  #working: Promise<void> | null = null;

  /** `onFailure` is told once: `RunLost`, or what else made writing impossible. */
  constructor(db: Db, claim: Claim, log: Logger, onFailure: (error: unknown) => void) {
    this.#db = db;
    this.#claim = claim;
    this.#log = log;
    this.#onFailure = onFailure;
  }

  /** Hands in metric rows; `stored` is called when they are. */
  metrics(rows: readonly MetricRow[], stored: () => void): void {
    for (const row of rows) this.#next.rows.push(row);
    this.#next.stored.push(stored);
    this.#wake();
  }

  log(level: LogLevel, message: string, at = Date.now()): void {
    this.#next.logs.push({ level, message: shownText(message), at });
    this.#wake();
  }

  cell(cell: SweepCell): void {
    this.#next.cells.push(cell);
    this.#wake();
  }

  /** Only the newest progress of a batch is stored. */
  progress(progress: Progress): void {
    this.#next.progress = progress;
    this.#wake();
  }

  /** Resolves when all that was handed in is stored, or the writer has stopped. */
  async flush(): Promise<void> {
    while (this.#working) await this.#working;
  }

  /** Drops what is not stored yet and gives up retrying. */
  stop(): void {
    this.#stop.abort();
  }

  #wake(): void {
    if (this.#stop.signal.aborted) return;
    this.#working ??= this.#work().finally(() => {
      this.#working = null;
    });
  }

  async #work(): Promise<void> {
    try {
      while (!isEmpty(this.#next)) {
        const batch = this.#next;
        this.#next = emptyBatch();
        await withRetry(() => this.#store(batch), this.#log, this.#stop.signal);
      }
    } catch (error) {
      const stopped = this.#stop.signal.aborted;
      this.stop();
      if (!stopped) this.#onFailure(error);
    }
  }

  /** Each part is forgotten once it is stored, so that a retry does not store it twice. */
  async #store(batch: Batch): Promise<void> {
    if (batch.rows.length > 0) this.#check(await appendMetrics(this.#db, this.#claim, batch.rows));
    batch.rows = [];
    for (const stored of batch.stored.splice(0)) stored();
    if (batch.logs.length > 0) this.#check(await appendLogs(this.#db, this.#claim, batch.logs));
    batch.logs = [];
    for (let cell = batch.cells[0]; cell; cell = batch.cells[0]) {
      this.#check(await appendCell(this.#db, this.#claim, cell));
      batch.cells.shift();
    }
    if (batch.progress) this.#check(await reportProgress(this.#db, this.#claim, batch.progress));
  }

  #check(held: boolean): void {
    if (!held) throw new RunLost(this.#claim);
  }
}

function isEmpty({ rows, logs, cells, progress }: Batch): boolean {
  return rows.length + logs.length + cells.length === 0 && progress === null;
}
