/** The one reader of a run's events in this process, and its subscribers. */
import { eq } from 'drizzle-orm';
import { invalidInput, notFound } from '../errors.ts';
import { eventReads } from '../telemetry.ts';
import type { Db } from './client.ts';
import { EventPages } from './eventPages.ts';
import type { DbLog } from './log.ts';
import { patiently } from './patiently.ts';
import { type RunEventRow, readEvents } from './queries/events.ts';
import { FINAL_STATUSES, runs } from './tables/index.ts';

/** Rows that a query reads at most, and that wait for a slow subscriber at most. */
const READ_LIMIT = 500;
const QUEUE_LIMIT = 1_000;

export class RunChannel {
  /** Everything up to this number has been read. */
  position = 0;
  /** True when `position` is the run's last event. */
  ended = false;
  private readonly subscribers = new Set<Subscription>();
  private readonly pages = new EventPages();
  private readonly opened: Promise<void>;
  private reading: Promise<void> | null = null;
  private again = false;

  constructor(
    private readonly runId: string,
    private readonly db: Db,
    private readonly log: DbLog,
    private readonly onEmpty: () => void,
  ) {
    this.opened = this.open();
  }

  async subscribe(afterSeq: number): Promise<Subscription> {
    const subscription = new Subscription(this, afterSeq);
    this.subscribers.add(subscription);
    try {
      await this.opened;
      // The cursor may come from another process, which heard of the event before this one.
      if (afterSeq > this.position) await this.advance();
      if (afterSeq > this.position) {
        throw invalidInput(
          ['after'],
          `run ${this.runId} has no event ${afterSeq}; its newest is ${this.position}`,
        );
      }
      return subscription;
    } catch (error) {
      this.remove(subscription);
      throw error;
    }
  }

  /** Reads what is new and hands it out; resolves when there is nothing more. */
  advance(): Promise<void> {
    this.again = true;
    this.reading ??= this.readOn();
    return this.reading;
  }

  /** Events after `seq`, for a subscriber that is behind; waits while Postgres is away. */
  async read(seq: number): Promise<readonly RunEventRow[]> {
    const page = Math.floor(seq / READ_LIMIT);
    const rows = await this.pages.load(page, Math.min((page + 1) * READ_LIMIT, this.position), () =>
      this.patiently(() => readEvents(this.db, this.runId, page * READ_LIMIT, READ_LIMIT)),
    );
    return seq === page * READ_LIMIT ? rows : rows.filter((row) => row.seq > seq);
  }

  remove(subscription: Subscription): void {
    if (this.subscribers.delete(subscription) && this.subscribers.size === 0) this.onEmpty();
  }

  fail(error: unknown): void {
    for (const subscription of [...this.subscribers]) subscription.fail(error);
  }

  private async open(): Promise<void> {
    const [run] = await this.patiently(() =>
      this.db
        .select({ lastSeq: runs.lastSeq, status: runs.status })
        .from(runs)
        .where(eq(runs.id, this.runId)),
    );
    if (!run) throw notFound('Run', this.runId);
    this.position = run.lastSeq;
    this.ended = FINAL_STATUSES.includes(run.status);
  }

  private async readOn(): Promise<void> {
    try {
      await this.opened;
      while (this.again && this.subscribers.size > 0) {
        this.again = false;
        const rows = await this.patiently(() => readEvents(this.db, this.runId, this.position, READ_LIMIT));
        if (rows.length === READ_LIMIT) this.again = true;
        if (rows.length > 0) this.deliver(rows);
      }
    } catch (error) {
      this.fail(error);
    } finally {
      this.reading = null;
    }
  }

  private deliver(rows: readonly RunEventRow[]): void {
    const from = this.position;
    this.position = rows.at(-1)!.seq;
    eventReads.tell({ lagMs: Math.max(0, Date.now() - rows.at(-1)!.at.getTime()) });
    this.ended = rows.some((row) => row.type === 'STATUS' && FINAL_STATUSES.includes(row.status));
    for (const subscription of this.subscribers) subscription.push(from, rows);
  }

  private patiently<T>(query: () => Promise<T>): Promise<T> {
    return patiently(query, {
      isAwaited: () => this.subscribers.size > 0,
      onRetry: (err) => this.log.warn({ err, runId: this.runId }, 'events could not be read; trying again'),
    });
  }
}

/** One consumer's place in a channel. While it keeps up it is fed from memory; if it lags, from the table. */
export class Subscription implements AsyncIterableIterator<readonly RunEventRow[]> {
  private queue: RunEventRow[] = [];
  private closed = false;
  private error: unknown = null;
  private wake: () => void = () => undefined;

  constructor(
    private readonly channel: RunChannel,
    /** Number of the newest event that is delivered or queued. */
    private tail: number,
  ) {}

  [Symbol.asyncIterator](): this {
    return this;
  }

  async next(): Promise<IteratorResult<readonly RunEventRow[]>> {
    // Nothing is awaited between a look at the state and what follows from it.
    for (;;) {
      if (this.error) throw this.error;
      if (this.closed) return { done: true, value: undefined };
      if (this.queue.length > 0) return { done: false, value: this.takeQueue() };
      if (this.tail < this.channel.position) {
        const rows = await this.channel.read(this.tail);
        // Nothing where there should be something: the run was deleted.
        if (rows.length === 0) this.close();
        else return { done: false, value: this.takeRead(rows) };
      } else if (this.channel.ended) this.close();
      else await this.sleep();
    }
  }

  async return(): Promise<IteratorResult<readonly RunEventRow[]>> {
    this.close();
    return { done: true, value: undefined };
  }

  /** Rows that follow event `from`, without a gap. */
  push(from: number, rows: readonly RunEventRow[]): void {
    if (this.tail >= from && this.queue.length + rows.length <= QUEUE_LIMIT) {
      for (const row of rows) if (row.seq > this.tail) this.queue.push(row);
      this.tail = Math.max(this.tail, rows.at(-1)!.seq);
    }
    this.wake();
  }

  fail(error: unknown): void {
    this.error = error;
    this.close();
  }

  private takeQueue(): RunEventRow[] {
    const rows = this.queue;
    this.queue = [];
    return rows;
  }

  private takeRead(rows: readonly RunEventRow[]): readonly RunEventRow[] {
    this.tail = rows.at(-1)!.seq;
    return rows;
  }

  private sleep(): Promise<void> {
    return new Promise((resolve) => {
      this.wake = resolve;
    });
  }

  private close(): void {
    this.closed = true;
    this.queue = [];
    this.channel.remove(this);
    this.wake();
  }
}
