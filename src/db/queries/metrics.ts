/** Metric series, thinned where they are too long to draw. */
import { sql } from 'drizzle-orm';
import { invalidInput } from '../../errors.ts';
import type { Executor } from '../client.ts';
import { metricPoints } from '../tables.ts';

export const MIN_POINTS = 4;
export const MAX_POINTS = 10_000;

export interface MetricSeries {
  name: string;
  points: { step: number; value: number; at: Date }[];
}

/**
 * Series of a run by name, each with at most `maxPoints` points. A longer one keeps its first and last point
 * and, of each of equally many stretches, the lowest and the highest: so the extremes of the whole series and
 * every spike stay. NaN counts as neither, and is kept where a stretch has nothing else. `names: null` is all.
 *
 * @throws AppError INVALID_INPUT if `maxPoints` is out of range.
 */
export async function readMetrics(
  db: Executor,
  runId: string,
  names: readonly string[] | null,
  maxPoints: number,
): Promise<MetricSeries[]> {
  if (!Number.isInteger(maxPoints) || maxPoints < MIN_POINTS || maxPoints > MAX_POINTS) {
    throw invalidInput(['maxPoints'], `maxPoints must be ${MIN_POINTS}–${MAX_POINTS}, got ${maxPoints}`);
  }
  const buckets = Math.floor((maxPoints - 2) / 2);
  const { rows } = await db.execute<RawPoint>(sql`
    with series as (
      select name, step, value, at,
        row_number() over (partition by name order by step) - 1 as i,
        count(*) over (partition by name) as n
      from ${metricPoints}
      where run_id = ${runId} ${names === null ? sql`` : sql`and name = any(${sql.param(names)}::text[])`}
    ), ranked as (
      select name, step, value, at, i, n,
        row_number() over (stretch order by value, step) as lowest,
        row_number() over (stretch order by value = 'NaN', value desc, step) as highest
      from series
      window stretch as (partition by name, case when n > ${maxPoints} then i * ${buckets}::int / n else i end)
    )
    select name, step, value, at from ranked
    where n <= ${maxPoints} or i = 0 or i = n - 1 or lowest = 1 or highest = 1
    order by name, step`);
  return toSeries(rows);
}

interface RawPoint extends Record<string, unknown> {
  name: string;
  step: number;
  value: number;
  at: Date | string;
}

function toSeries(rows: readonly RawPoint[]): MetricSeries[] {
  const series: MetricSeries[] = [];
  for (const { name, step, value, at } of rows) {
    if (series.at(-1)?.name !== name) series.push({ name, points: [] });
    series.at(-1)!.points.push({ step, value, at: new Date(at) });
  }
  return series;
}
