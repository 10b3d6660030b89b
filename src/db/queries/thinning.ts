/** Series thinned to the lowest and highest points of stretches, and how their points come from the database. */
import { type SQL, sql } from 'drizzle-orm';

export interface MetricPoint {
  step: number;
  value: number;
  at: Date;
}

/** Collects points, or buckets' extremes, in the order of steps; keeps the lowest and the highest of each stretch. */
export class Extremes {
  readonly #lows = new Map<number, MetricPoint>();
  readonly #highs = new Map<number, MetricPoint>();

  /** Of equals the earliest stays; NaN stays only where there is nothing else, the first as low, the last as high. */
  add(stretch: number, low: MetricPoint, high: MetricPoint): void {
    const lowest = this.#lows.get(stretch);
    if (!lowest || low.value < lowest.value || (Number.isNaN(lowest.value) && !Number.isNaN(low.value)))
      this.#lows.set(stretch, low);
    const highest = this.#highs.get(stretch);
    if (!highest || Number.isNaN(highest.value) || high.value > highest.value) this.#highs.set(stretch, high);
  }

  points(): MetricPoint[] {
    return [...this.#lows.values(), ...this.#highs.values()];
  }
}

/** In the order of steps, each step once. */
export function inOrder(points: readonly MetricPoint[]): MetricPoint[] {
  const byStep = new Map(points.map((point) => [point.step, point]));
  return [...byStep.values()].sort((a, b) => a.step - b.step);
}

/** Bytes of a packed point. As rows of text, which `pg` makes objects of, they take ten times as long. */
export const POINT_BYTES = 20;
/** Postgres counts microseconds from the beginning of 2000. */
const POSTGRES_EPOCH_MS = 946_684_800_000;

/** A point as bytes: its step, value and time. */
export const packPoint = (step: string, value: string, at: string): SQL =>
  sql.raw(`int4send(${step}) || float8send(${value}) || timestamptz_send(${at})`);

export function unpackPoint(bytes: Buffer, offset: number): MetricPoint {
  return {
    step: bytes.readInt32BE(offset),
    value: bytes.readDoubleBE(offset + 4),
    at: new Date(POSTGRES_EPOCH_MS + Math.round(Number(bytes.readBigInt64BE(offset + 12)) / 1000)),
  };
}
