/** One run as it goes: what the query said, then what happens behind its cursor. */
import { batch, type Signal, signal } from '@preact/signals';
import {
  type LogLevel,
  RunEvents,
  type RunEventsSubscription,
  type RunHeadFragment,
  RunMetrics,
  Run as RunQuery,
  RunStretch,
  RunSummary,
} from '../api/documents.ts';
import { ApiError, request } from '../api/graphql.ts';
import { follow } from '../api/live.ts';
import { askPatiently } from '../api/patience.ts';
import { isOver } from '../parts/run.tsx';
import { type About, Curves, type Stretch } from './curves.ts';

export interface LogLine {
  at: string;
  level: LogLevel;
  message: string;
}

export const MAX_POINTS = 1_000;

export class LiveRun {
  readonly run: Signal<RunHeadFragment | null> = signal(null);
  readonly error: Signal<ApiError | null> = signal(null);
  readonly log: Signal<readonly LogLine[]> = signal([]);
  readonly curves = new Curves();
  #stop: () => void = () => undefined;
  readonly #closing = new AbortController();
  #isDescribing = false;
  #looking: AbortController | null = null;
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(readonly id: string) {
    void this.open();
  }

  /** Reads all anew and follows from there. */
  async open(): Promise<void> {
    this.#stop();
    try {
      const { signal } = this.#closing;
      const variables = { id: this.id, maxPoints: MAX_POINTS };
      const { run } = await askPatiently(() => request(RunQuery, variables, { signal }), {
        signal,
        wait: (error) => {
          this.error.value = error;
        },
      });
      if (!run) throw new ApiError('There is no run with this id; it may have been deleted.', 'NOT_FOUND');
      if (this.#isBehind(run)) return;
      batch(() => {
        this.error.value = null;
        this.run.value = run;
        this.log.value = run.log;
        this.curves.reset(run.metrics);
      });
      if (!isOver(run.status)) this.#follow(run.cursor);
    } catch (error) {
      if (!this.#closing.signal.aborted) this.error.value = error as ApiError;
    }
  }

  close(): void {
    this.#closing.abort();
    clearTimeout(this.#timer);
    this.#looking?.abort();
    this.#stop();
  }

  /** Looks at these steps alone, closer than all of them can be seen; null looks at all again. */
  async look(stretch: Stretch | null): Promise<void> {
    this.#looking?.abort();
    this.curves.look(stretch);
    if (!stretch) return;
    const looking = new AbortController();
    this.#looking = looking;
    const [fromStep, toStep] = stretch;
    const variables = { id: this.id, maxPoints: MAX_POINTS, fromStep, toStep };
    const { run } = await request(RunStretch, variables, looking).catch(() => ({ run: null }));
    // Without an answer what is known stays in sight.
    if (run && !looking.signal.aborted) this.curves.refine(run.metrics);
  }

  #follow(start: string): void {
    this.#stop = follow({
      document: RunEvents,
      variables: { id: this.id, after: start },
      next: ({ runEvents }) => this.#take(runEvents),
      end: () => void this.#finish(),
      fail: (error) => {
        this.error.value = error;
      },
    });
  }

  #take({ at, event }: RunEventsSubscription['runEvents']): void {
    const before = this.run.peek()!;
    switch (event.__typename) {
      case 'MetricsLogged':
        if (this.curves.append(event.step, event.metrics)) void this.open();
        if (event.metrics.some(({ name }) => !this.curves.about.peek().has(name))) this.#describe();
        break;
      case 'RunStatusChanged':
        this.run.value = { ...before, ...event, __typename: before.__typename } as RunHeadFragment;
        // Its times, and those of its phases, are told by the query alone.
        if (event.phase !== before.phase || (event.status === 'RUNNING' && before.startedAt === null))
          void this.#refresh();
        break;
      case 'RunLogged':
        this.log.value = [
          ...this.log.peek().slice(-MOST_LINES),
          { at, level: event.level, message: event.message },
        ];
    }
  }

  /** Metrics that have only now been logged are asked what they are, all of a moment at once, and none twice. */
  #describe(): void {
    if (this.#isDescribing) return;
    this.#isDescribing = true;
    this.#timer = setTimeout(async () => {
      const { run } = await request(RunMetrics, { id: this.id }).catch(() => ({ run: null }));
      if (run) this.curves.describe(run.lastMetrics.map(({ metric }) => metric));
      const unknown = this.curves.names.peek().filter((name) => !this.curves.about.peek().has(name));
      // What the server has nothing to say of, such as metrics of single concepts, is called by its name.
      this.curves.describe(unknown.map(nameless));
      this.#isDescribing = false;
    }, SETTLE_MS);
  }

  /** Asked before the run's end and answered after it was told here: a run that is over stays so. */
  #isBehind({ status }: { status: RunHeadFragment['status'] }): boolean {
    const known = this.run.peek();
    return known !== null && known !== undefined && isOver(known.status) && !isOver(status);
  }

  /** Ended: results, exports and times are there now. */
  async #finish(): Promise<void> {
    await this.#refresh();
  }

  async #refresh(): Promise<void> {
    const { run } = await request(RunSummary, { id: this.id }).catch(() => ({ run: null }));
    if (run && !this.#closing.signal.aborted && !this.#isBehind(run)) this.run.value = run;
  }
}

const MOST_LINES = 1_000;
const SETTLE_MS = 300;

function nameless(name: string): About {
  const group = name.includes('/') ? name.slice(0, name.lastIndexOf('/')) : 'other';
  return { name, label: name, unit: null, better: null, group };
}
