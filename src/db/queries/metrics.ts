/** Metric series, thinned where they are too long to draw. */
import { sql } from 'drizzle-orm';
import { invalidInput } from '../../errors.ts';
import type { Executor } from '../client.ts';
import { metricPoints } from '../tables/index.ts';

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
  const stretches = Math.floor((maxPoints - 2) / 2);
  const wanted = sql`run_id = ${runId} ${names === null ? sql`` : sql`and name = any(${sql.param(names)}::text[])`}`;
  // Pairs [value, step] compare by value first, so their minimum tells where the lowest value is.
  const { rows } = await db.execute<RawPoint>(sql`
    with series as (
      select name, count(*) as n, min(step) as first, max(step) as last
      from ${metricPoints} where ${wanted} group by name
    ), numbered as (
      select name, step, value, row_number() over (partition by name order by step) - 1 as i
      from ${metricPoints} where ${wanted}
    ), extremes as (
      select name,
        min(array[value, step]) as lowest,
        coalesce(max(array[value, -step]) filter (where value <> 'NaN'), min(array[value, -step])) as highest
      from numbered join series using (name)
      where n > ${maxPoints}
      group by name, i * ${stretches}::int / n
    ), kept as (
      select name, unnest(array[first, last]) as step from series where n > ${maxPoints}
      union select name, unnest(array[lowest[2], -highest[2]])::int from extremes
    )
    select p.name, p.step, p.value, p.at from kept k cross join lateral (
      select name, step, value, at from ${metricPoints} m
      where m.run_id = ${runId} and m.name = k.name and m.step = k.step limit 1
    ) p
    union all
    select name, step, value, at from ${metricPoints} where ${wanted}
      and name in (select name from series where n <= ${maxPoints})
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
