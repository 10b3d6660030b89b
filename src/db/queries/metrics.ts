/** Metric series, thinned where they are too long to draw. */
import { sql } from 'drizzle-orm';
import { invalidInput } from '../../errors.ts';
import type { Executor } from '../client.ts';
import { metricBuckets, metricPoints } from '../tables/index.ts';
import { BASE_POINTS, bucketPoints, extendLadder, FANOUT, MAX_LEVEL } from './metricLadder.ts';
import { Extremes, inOrder, type MetricPoint, POINT_BYTES, packPoint, unpackPoint } from './thinning.ts';

export const MIN_POINTS = 4;
export const MAX_POINTS = 10_000;
/** Points above the ladder that a reader would rather put on it. */
const LONG_TAIL = 8192;
/** Points of a series up to which reading them all takes no longer than the answer is worth. */
const SHORT_SERIES = 20_000;

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
  const plans = heads.map((head) => planOf(head, maxPoints, stretches));
  const [points, buckets] = [await readPoints(db, runId, plans), await readBuckets(db, runId, plans)];
  return plans.map((plan, i) => ({
    name: plan.name,
    points: thin(plan, points[i]!, buckets[i]!, stretches),
  }));
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
  // One by one: what is made stays, though the caller may not wait for the end.
  for (const { name } of behind) await extendLadder(db, runId, [name]);
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

/** What of a series is read: all of a short one; the points above the ladder, and `level` of it, of a long one. */
interface Plan extends Head {
  whole: boolean;
  /** 0 where the ladder is not used. */
  level: number;
  /** Of a stretch, in points: whole buckets of the level. */
  length: number;
}

function planOf(head: Head, maxPoints: number, stretches: number): Plan {
  const whole = head.n <= maxPoints;
  if (!isLong(head, stretches)) return { ...head, whole, level: 0, length: 0, buckets: 0, after: -1 };
  const ideal = head.n / stretches;
  let level = 1;
  while (level < MAX_LEVEL && 2 * bucketPoints(level + 1) <= ideal) level += 1;
  const length = Math.ceil(ideal / bucketPoints(level)) * bucketPoints(level);
  return { ...head, whole, level, length };
}

/** The packed points of each series that are not read from the ladder. */
async function readPoints(db: Executor, runId: string, plans: readonly Plan[]): Promise<Buffer[]> {
  const column = (values: readonly unknown[]) => sql.param(values);
  const { rows } = await db.execute<{ bytes: Buffer | null }>(sql`
    select m.bytes
    from unnest(${column(plans.map((plan) => plan.name))}::text[], ${column(plans.map((plan) => plan.after))}::int[],
      ${column(plans.map((plan) => plan.last.step))}::int[]) with ordinality as p (name, after, last, place)
    cross join lateral (
      select string_agg(${packPoint('step', 'value', 'at')}, '') as bytes
      from (
        select step, value, at from ${metricPoints} m
        where m.run_id = ${runId} and m.name = p.name and m.step > p.after and m.step <= p.last order by step
      ) ordered
    ) m
    order by p.place`);
  return rows.map(({ bytes }) => bytes ?? Buffer.alloc(0));
}

/** Bytes of a packed bucket: its level and place, and its extremes. */
const BUCKET_BYTES = 6 + 2 * POINT_BYTES;

/** The packed buckets of each series in the order of steps: whole ones of its level, behind them what lower levels have. */
async function readBuckets(db: Executor, runId: string, plans: readonly Plan[]): Promise<Buffer[]> {
  if (plans.every(({ level }) => level === 0)) return plans.map(() => Buffer.alloc(0));
  const column = (values: readonly number[]) => sql.param(values);
  const { rows } = await db.execute<{ bytes: Buffer | null }>(sql`
    select b.bytes
    from unnest(${sql.param(plans.map((plan) => plan.name))}::text[], ${column(plans.map((plan) => plan.level))}::int[],
      ${column(plans.map((plan) => plan.buckets))}::int[]) with ordinality as p (name, level, buckets, place)
    cross join lateral (
      select string_agg(int2send(level) || int4send(k)
        || ${packPoint('low_step', 'low_value', 'low_at')} || ${packPoint('high_step', 'high_value', 'high_at')}, '') as bytes
      from (
        select l.* from generate_series(p.level, 1, -1) j cross join lateral (
          select * from ${metricBuckets} b
          where b.run_id = ${runId} and b.name = p.name and b.level = j
            and b.k >= case when j = p.level then 0 else div(p.buckets, ${FAN} ^ j)::int * ${sql.raw(String(FANOUT))} end
            and b.k < div(p.buckets, ${FAN} ^ (j - 1))::int
          order by b.k
        ) l
      ) ordered
    ) b
    order by p.place`);
  return rows.map(({ bytes }) => bytes ?? Buffer.alloc(0));
}

const FAN = sql.raw(`${FANOUT}::numeric`);

function thin(plan: Plan, points: Buffer, buckets: Buffer, stretches: number): MetricPoint[] {
  const tail: MetricPoint[] = [];
  for (let offset = 0; offset < points.length; offset += POINT_BYTES) tail.push(unpackPoint(points, offset));
  if (plan.whole) return tail;
  const extremes = new Extremes();
  for (let offset = 0; offset < buckets.length; offset += BUCKET_BYTES) {
    const from = buckets.readInt32BE(offset + 2) * bucketPoints(buckets.readInt16BE(offset));
    const [low, high] = [offset + 6, offset + 6 + POINT_BYTES].map((place) => unpackPoint(buckets, place));
    extremes.add(Math.floor(from / plan.length), low!, high!);
  }
  const before = plan.buckets * BASE_POINTS;
  for (const [i, point] of tail.entries()) {
    const stretch = plan.level ? (before + i) / plan.length : (i * stretches) / plan.n;
    extremes.add(Math.floor(stretch), point, point);
  }
  return inOrder([plan.first, ...extremes.points(), plan.last]);
}
