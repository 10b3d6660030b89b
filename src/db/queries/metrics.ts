/** Metric series, thinned where they are too long to draw. */
import { type SQL, sql } from 'drizzle-orm';
import { invalidInput } from '../../errors.ts';
import type { Executor } from '../client.ts';
import { metricBuckets, metricPoints } from '../tables/index.ts';
import { BASE_POINTS, bucketPoints, extendLadder, FANOUT, MAX_LEVEL } from './metricLadder.ts';

export const MIN_POINTS = 4;
export const MAX_POINTS = 10_000;
/** Points above the ladder that a reader would rather put on it. */
const LONG_TAIL = 8192;
/** Points of a series up to which reading them all takes no longer than the answer is worth. */
const SHORT_SERIES = 20_000;

export interface MetricPoint {
  step: number;
  value: number;
  at: Date;
}

export interface MetricSeries {
  name: string;
  points: MetricPoint[];
}

/**
 * Series of a run by name, each with at most `maxPoints` points. A longer one keeps its first and last point
 * and, of each of many stretches, the lowest and the highest: so the extremes of the whole series and every spike
 * stay. There are `(maxPoints - 2) / 2` stretches, equally long to a point; in series of more than 20,000 points, and of
 * 16 a stretch, they are a multiple of 16 points long instead, the last may be shorter, and there may be down to half
 * as many. NaN counts as neither lowest nor
 * highest, and is kept where a stretch has nothing else. `names: null` is all.
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
  const heads = await readHeads(db, runId, names, (head) => isLong(head, stretches));
  const byName = new Map<string, MetricPoint[]>();
  const short = heads.filter((head) => head.n <= maxPoints);
  const middle = heads.filter((head) => head.n > maxPoints && !isLong(head, stretches));
  const long = heads.filter((head) => isLong(head, stretches));
  for (const row of await readWhole(db, runId, short)) push(byName, row.name, toPoint(row));
  for (const row of await readStretches(db, runId, middle, stretches)) pushExtremes(byName, row);
  for (const row of await readLadder(db, runId, long, stretches)) pushExtremes(byName, row);
  return heads.map((head) => ({ name: head.name, points: finish(head, byName.get(head.name) ?? []) }));
}

/** What is known of a series before its points are read. */
interface Head {
  name: string;
  n: number;
  /** Buckets of the ladder's lowest level, and the last step that they stand for. */
  buckets: number;
  after: number;
  first: MetricPoint;
  last: MetricPoint;
}

const isLong = ({ n }: Head, stretches: number) => n > SHORT_SERIES && n >= stretches * BASE_POINTS;

/** Puts what is missing of long series on the ladder first, such as all of one that is older than ladders. */
async function readHeads(
  db: Executor,
  runId: string,
  names: readonly string[] | null,
  wantsLadder: (head: Head) => boolean,
): Promise<Head[]> {
  const heads = await queryHeads(db, runId, names);
  const behind = heads.filter((head) => wantsLadder(head) && head.n - head.buckets * BASE_POINTS > LONG_TAIL);
  if (behind.length === 0) return heads;
  await extendLadder(
    db,
    runId,
    behind.map(({ name }) => name),
  );
  return queryHeads(db, runId, names);
}

interface RawHead extends Record<string, unknown> {
  name: string;
  buckets: number;
  after: number;
  tail: number;
  first: { step: number; value: number | 'NaN' | 'Infinity' | '-Infinity'; at: string };
  last: RawHead['first'];
}

async function queryHeads(db: Executor, runId: string, names: readonly string[] | null): Promise<Head[]> {
  const place = sql`select json_build_object('step', step, 'value', value, 'at', at) as point, step
    from ${metricPoints} m where m.run_id = ${runId} and m.name = s.name order by step`;
  const { rows } = await db.execute<RawHead>(sql`
    with recursive series (name) as (${names === null ? namesOf(runId) : sql`select distinct unnest(${sql.param(names)}::text[])`})
    select s.name, coalesce(b.k + 1, 0) as buckets, coalesce(b.last_step, -1) as after,
      f.point as first, l.point as last, (
        select count(*)::int from ${metricPoints} m where m.run_id = ${runId} and m.name = s.name
          and m.step > coalesce(b.last_step, -1) and m.step <= l.step
      ) as tail
    from series s
    cross join lateral (${place} limit 1) f
    cross join lateral (${place} desc limit 1) l
    left join lateral (
      select k, last_step from ${metricBuckets} b
      where b.run_id = ${runId} and b.name = s.name and b.level = 1 order by k desc limit 1
    ) b on true
    order by s.name`);
  return rows.map(({ name, buckets, after, tail, first, last }) => ({
    ...{ name, buckets, after, n: buckets * BASE_POINTS + tail },
    first: { step: first.step, value: Number(first.value), at: new Date(first.at) },
    last: { step: last.step, value: Number(last.value), at: new Date(last.at) },
  }));
}

/** Every name once, each found from the one before by the index: a run has few names and many points. */
const namesOf = (runId: string) => sql`
  (select name from ${metricPoints} where run_id = ${runId} order by name limit 1)
  union all
  select (
    select m.name from ${metricPoints} m where m.run_id = ${runId} and m.name > series.name
    order by m.name limit 1
  ) from series where series.name is not null`;

interface RawPoint extends Record<string, unknown> {
  name: string;
  step: number;
  value: number;
  /** Seconds since the epoch. */
  at: number;
}

async function readWhole(db: Executor, runId: string, heads: readonly Head[]): Promise<RawPoint[]> {
  if (heads.length === 0) return [];
  const { rows } = await db.execute<RawPoint>(sql`
    select p.name, m.step, m.value, extract(epoch from m.at)::float8 as at
    from ${plan(heads)} cross join lateral (
      select step, value, at from ${metricPoints} m
      where m.run_id = ${runId} and m.name = p.name and m.step <= p.last order by step
    ) m`);
  return rows;
}

/** The extremes of one stretch; steps of the highest are negative, so that the earliest of equals wins. */
interface RawExtremes extends Record<string, unknown> {
  name: string;
  lowValue: number;
  lowStep: number;
  lowAt: number;
  highValue: number;
  highStep: number;
  highAt: number;
}

/** Triples [value, ±step, seconds] compare by value first, so that an extreme tells where and when it is. */
const extremesOf = (parts: SQL) => sql`
  select name, low[1] as "lowValue", low[2] as "lowStep", low[3] as "lowAt",
    high[1] as "highValue", high[2] as "highStep", high[3] as "highAt"
  from (
    select name, min(low) as low, coalesce(max(high) filter (where high[1] <> 'NaN'), min(high)) as high
    from (${parts}) parts group by name, stretch
  ) extremes`;

async function readStretches(
  db: Executor,
  runId: string,
  heads: readonly Head[],
  stretches: number,
): Promise<RawExtremes[]> {
  if (heads.length === 0) return [];
  const { rows } = await db.execute<RawExtremes>(
    extremesOf(sql`
    select p.name, (row_number() over (partition by p.name order by m.step) - 1) * ${stretches}::int / p.n as stretch,
      array[m.value, m.step, m.at] as low, array[m.value, -m.step, m.at] as high
    from ${plan(heads)} cross join lateral (
      select step, value, extract(epoch from at)::float8 as at from ${metricPoints} m
      where m.run_id = ${runId} and m.name = p.name and m.step <= p.last order by step
    ) m`),
  );
  return rows;
}

/** Stretches are made of whole buckets of one level; behind them of what lower levels have, then of points. */
async function readLadder(
  db: Executor,
  runId: string,
  heads: readonly Head[],
  stretches: number,
): Promise<RawExtremes[]> {
  if (heads.length === 0) return [];
  const { rows } = await db.execute<RawExtremes>(
    extremesOf(sql`
    select p.name, b.k::int8 * (${BASE_POINTS}::int * ${FANOUT}::int8 ^ (j - 1))::int8 / p.length as stretch,
      array[b.low_value, b.low_step, extract(epoch from b.low_at)::float8] as low,
      array[b.high_value, -b.high_step, extract(epoch from b.high_at)::float8] as high
    from ${plan(heads, stretches)} cross join lateral generate_series(1, p.level) j cross join lateral (
      select * from ${metricBuckets} b
      where b.run_id = ${runId} and b.name = p.name and b.level = j
        and b.k >= case when j = p.level then 0 else div(p.buckets, (${FANOUT}::int ^ j)::numeric)::int * ${FANOUT}::int end
        and b.k < div(p.buckets, (${FANOUT}::int ^ (j - 1))::numeric)::int
    ) b
    union all
    select p.name, (p.buckets::int8 * ${BASE_POINTS}::int + row_number() over (partition by p.name order by m.step) - 1) / p.length,
      array[m.value, m.step, m.at], array[m.value, -m.step, m.at]
    from ${plan(heads, stretches)} cross join lateral (
      select step, value, extract(epoch from at)::float8 as at from ${metricPoints} m
      where m.run_id = ${runId} and m.name = p.name and m.step > p.after and m.step <= p.last order by step
    ) m`),
  );
  return rows;
}

/** The series as rows of a statement. `length` is that of their stretches in points, whole buckets of `level`. */
function plan(heads: readonly Head[], stretches = 1) {
  const ladder = heads.map(({ n }) => {
    const ideal = n / stretches;
    let level = 1;
    while (level < MAX_LEVEL && 2 * bucketPoints(level + 1) <= ideal) level += 1;
    return { level, length: Math.ceil(ideal / bucketPoints(level)) * bucketPoints(level) };
  });
  const column = (values: readonly unknown[]) => sql.param(values);
  return sql`unnest(${column(heads.map((head) => head.name))}::text[], ${column(heads.map((head) => head.n))}::int8[],
    ${column(heads.map((head) => head.buckets))}::int[], ${column(heads.map((head) => head.after))}::int[],
    ${column(heads.map((head) => head.last.step))}::int[], ${column(ladder.map(({ level }) => level))}::int[],
    ${column(ladder.map(({ length }) => length))}::int8[]) as p (name, n, buckets, after, last, level, length)`;
}

function push(byName: Map<string, MetricPoint[]>, name: string, ...points: MetricPoint[]): void {
  const before = byName.get(name);
  if (before) before.push(...points);
  else byName.set(name, points);
}

function pushExtremes(byName: Map<string, MetricPoint[]>, row: RawExtremes): void {
  const { name, lowValue, lowStep, lowAt, highValue, highStep, highAt } = row;
  const low = toPoint({ step: lowStep, value: lowValue, at: lowAt });
  const high = toPoint({ step: Math.abs(highStep), value: highValue, at: highAt });
  push(byName, name, low, high);
}

const toPoint = ({ step, value, at }: { step: number; value: number; at: number }): MetricPoint => ({
  step,
  value,
  at: new Date(Math.round(at * 1000)),
});

/** With the ends, in the order of steps, each step once. */
function finish({ first, last }: Head, points: readonly MetricPoint[]): MetricPoint[] {
  const byStep = new Map([first, ...points, last].map((point) => [point.step, point]));
  return [...byStep.values()].sort((a, b) => a.step - b.step);
}
