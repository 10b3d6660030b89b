/** The metric series of a run as they grow: each step once, in order, whatever comes twice. */
import { type Signal, signal } from '@preact/signals';

export interface Points {
  steps: number[];
  values: (number | null)[];
}

/** What a metric is, as the server describes it. */
export interface About {
  name: string;
  label: string;
  unit: string | null;
  better: 'LOWER' | 'HIGHER' | null;
  /** Metrics of one group belong together. */
  group: string;
}

/** What the server gives of a metric. */
export interface PointSeries {
  name: string;
  points: { step: number; value: number | null }[];
}

export interface Series extends PointSeries {
  metric: About;
}

/** The first and the last step in sight. */
export type Stretch = readonly [from: number, to: number];

/** Points that a live curve grows by before it is asked for anew, thinned. */
const MOST_LIVE_POINTS = 20_000;

const REDRAW_MS = 250;

export class Curves {
  /** Names in alphabetical order; changes only when there is a new one. */
  readonly names: Signal<readonly string[]> = signal([]);
  /** What is known of each, by name; of one that has only just appeared, nothing. */
  readonly about: Signal<ReadonlyMap<string, About>> = signal(new Map());
  /** Counts up when points have changed, at most four times a second: faster, nobody reads a curve. */
  readonly version: Signal<number> = signal(0);
  /** What is in sight; null is all. */
  readonly stretch: Signal<Stretch | null> = signal(null);
  readonly #series = new Map<string, Points>();
  /** The same steps in sight, seen closer: thinned as if there were no others. */
  #closer: Map<string, Points> | null = null;
  #isChanged = false;

  get(name: string): Points {
    return this.#closer?.get(name) ?? this.#series.get(name) ?? { steps: [], values: [] };
  }

  /** Shows these steps alone, at first as they are known. */
  look(stretch: Stretch | null): void {
    this.#closer = null;
    this.stretch.value = stretch;
    this.version.value += 1;
  }

  /** What is in sight, as it was asked for anew. */
  refine(series: readonly PointSeries[]): void {
    this.#closer = new Map(series.map(({ name, points }) => [name, columns(points)]));
    this.version.value += 1;
  }

  /** Takes the place of what was there. */
  reset(series: readonly Series[]): void {
    this.#series.clear();
    this.describe(series.map(({ metric }) => metric));
    for (const { name, points } of series) this.#series.set(name, columns(points));
    this.#named();
    this.version.value += 1;
  }

  describe(metrics: readonly About[]): void {
    const about = new Map(this.about.peek());
    for (const metric of metrics) about.set(metric.name, metric);
    this.about.value = about;
  }

  /** A step that was seen already changes nothing. True when it is time to ask for thinned curves again. */
  append(step: number, metrics: readonly { name: string; value: number | null }[]): boolean {
    let isLong = false;
    for (const { name, value } of metrics) {
      let points = this.#series.get(name);
      if (!points) {
        points = { steps: [], values: [] };
        this.#series.set(name, points);
        this.#named();
      }
      if (points.steps.length > 0 && step <= points.steps.at(-1)!) continue;
      points.steps.push(step);
      points.values.push(value);
      this.#appendCloser(name, step, value);
      isLong ||= points.steps.length > MOST_LIVE_POINTS;
    }
    this.#changed();
    return isLong;
  }

  #appendCloser(name: string, step: number, value: number | null): void {
    const closer = this.#closer?.get(name);
    if (!closer || step > this.stretch.peek()![1] || step <= (closer.steps.at(-1) ?? -1)) return;
    closer.steps.push(step);
    closer.values.push(value);
  }

  #named(): void {
    this.names.value = [...this.#series.keys()].sort();
  }

  #changed(): void {
    if (this.#isChanged) return;
    this.#isChanged = true;
    setTimeout(() => {
      this.#isChanged = false;
      this.version.value += 1;
    }, REDRAW_MS);
  }
}

function columns(points: PointSeries['points']): Points {
  return { steps: points.map(({ step }) => step), values: points.map(({ value }) => value) };
}

/** Exponential moving average, corrected for its start as TensorBoard does; gaps stay gaps. */
export function smooth(values: readonly (number | null)[], weight: number): (number | null)[] {
  let last = 0;
  let mass = 0;
  return values.map((value) => {
    if (value === null) return null;
    last = last * weight + (1 - weight) * value;
    mass = mass * weight + (1 - weight);
    return last / mass;
  });
}
