/** The list of runs as it changes: what the query said, then each run that is told of behind its cursor. */
import { batch, type Signal, signal } from '@preact/signals';
import {
  type RunFilter,
  type RunRowFragment,
  RunSparks,
  RunsChanged,
  type RunsChangedSubscription,
  Runs as RunsDocument,
} from '../api/documents.ts';
import { type ApiError, request } from '../api/graphql.ts';
import { follow } from '../api/live.ts';
import { askPatiently } from '../api/patience.ts';

export interface SparkPoint {
  step: number;
  value: number | null;
}

/** How long the list waits for more runs that come or go before it is read anew. */
const SETTLE_MS = 300;
/** Points of a spark that grows; older ones give way. */
const MOST_SPARK_POINTS = 120;

export class LiveRuns {
  readonly rows: Signal<readonly RunRowFragment[] | null> = signal(null);
  readonly total: Signal<number> = signal(0);
  readonly hasMore: Signal<boolean> = signal(false);
  readonly error: Signal<ApiError | null> = signal(null);
  /** By run: the main metric over its steps. */
  readonly sparks: Signal<ReadonlyMap<string, readonly SparkPoint[]>> = signal(new Map());
  #stop: () => void = () => undefined;
  #timer: ReturnType<typeof setTimeout> | undefined;
  readonly #closing = new AbortController();

  constructor(
    private readonly filter: RunFilter,
    private readonly first: number,
  ) {
    void this.open();
  }

  /** Reads all anew and follows from there. */
  async open(): Promise<void> {
    clearTimeout(this.#timer);
    const { filter, first } = this;
    try {
      const { signal } = this.#closing;
      const { runs } = await askPatiently(() => request(RunsDocument, { filter, first }, { signal }), {
        signal,
        wait: (error) => {
          this.error.value = error;
        },
      });
      batch(() => {
        this.error.value = null;
        this.rows.value = runs.edges.map(({ node }) => node);
        this.total.value = runs.totalCount;
        this.hasMore.value = runs.pageInfo.hasNextPage;
      });
      this.#follow(runs.changesCursor);
      await this.#readSparks();
    } catch (error) {
      if (!this.#closing.signal.aborted) this.error.value = error as ApiError;
    }
  }

  close(): void {
    this.#closing.abort();
    clearTimeout(this.#timer);
    this.#stop();
  }

  #follow(after: string): void {
    this.#stop();
    this.#stop = follow({
      document: RunsChanged,
      variables: { filter: this.filter, after },
      next: ({ runsChanged }) => this.#take(runsChanged),
      fail: (error) => {
        this.error.value = error;
      },
    });
  }

  /** A run that is shown is changed in place; one that comes or goes moves others, so the list is read anew. */
  #take({ id, run, fits }: RunsChangedSubscription['runsChanged']): void {
    const rows = this.rows.peek() ?? [];
    const at = rows.findIndex((row) => row.id === id);
    if (run && fits && at >= 0) this.rows.value = rows.with(at, run);
    if (run && fits) this.#extend(run);
    const isOfList = at >= 0 || (run !== null && fits && this.#isOnPage(run, rows));
    if (isOfList && fits !== at >= 0) {
      clearTimeout(this.#timer);
      this.#timer = setTimeout(() => void this.open(), SETTLE_MS);
    }
  }

  #isOnPage({ createdAt }: RunRowFragment, rows: readonly RunRowFragment[]): boolean {
    return !this.hasMore.peek() || createdAt >= (rows.at(-1)?.createdAt ?? '');
  }

  async #readSparks(): Promise<void> {
    const { runs } = await request(RunSparks, { filter: this.filter, first: this.first });
    if (this.#closing.signal.aborted) return;
    this.sparks.value = new Map(
      runs.edges.flatMap(({ node }) => (node.metrics[0] ? [[node.id, node.metrics[0].points]] : [])),
    );
  }

  #extend({ id, mainMetric }: RunRowFragment): void {
    if (!mainMetric) return;
    const sparks = this.sparks.peek();
    const points = sparks.get(id) ?? [];
    if (mainMetric.step <= (points.at(-1)?.step ?? -1)) return;
    const { step, value } = mainMetric;
    this.sparks.value = new Map(sparks).set(id, [...points.slice(1 - MOST_SPARK_POINTS), { step, value }]);
  }
}
