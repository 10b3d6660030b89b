/** Metric series, thinned where they are too long to draw. */
import { sql } from 'drizzle-orm';
import { invalidInput } from '../../errors.ts';
import type { Executor } from '../client.ts';
import { metricBuckets, metricPoints } from '../tables/index.ts';
import { BASE_POINTS, bucketPoints, extendLadder, FANOUT, findRungs, MAX_LEVEL } from './metricLadder.ts';
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

/** The steps to be shown, both ends included. */
export interface StepRange {
  from: number;
  to: number;
}

const LAST_STEP = 2 ** 31 - 1;
export const ALL_STEPS: StepRange = { from: 0, to: LAST_STEP };

/**
 * Series of a run by name, each with at most `maxPoints` points. A longer one keeps its first and last point
 * and, of each of many stretches, the lowest and the highest: so the extremes of the whole series and every spike
 * stay. There are `(maxPoints - 2) / 2` stretches, equally long to a point; in series of more than 20,000 points, and of
 * 16 a stretch, they are a multiple of 16 points long instead, the last may be shorter, and there may be down to half
 * as many. NaN counts as neither lowest nor
 * highest, and is kept where a stretch has nothing else. `names: null` is all. All that is of the steps of `range`, as
 * if there were no others: the closer one looks, the more is seen.
 *
 * @throws AppError INVALID_INPUT if `maxPoints` is out of range, or `range` is none.
 */
export async function readMetrics(
  db: Executor,
  runId: string,
  names: readonly string[] | null,
  maxPoints: number,
  range: StepRange = ALL_STEPS,
): Promise<MetricSeries[]> {
  return (await readMetricsOfRuns(db, [runId], names, maxPoints, range))[0]!;
}

/** The same of many runs, in as many statements. @throws AppError as `readMetrics` does. */
export async function readMetricsOfRuns(
  db: Executor,
  runIds: readonly string[],
  names: readonly string[] | null,
  maxPoints: number,
  range: StepRange = ALL_STEPS,
): Promise<MetricSeries[][]> {
  if (!Number.isInteger(maxPoints) || maxPoints < MIN_POINTS || maxPoints > MAX_POINTS) {
    throw invalidInput(['maxPoints'], `maxPoints must be ${MIN_POINTS}–${MAX_POINTS}, got ${maxPoints}`);
  }
  checkRange(range);
  const stretches = Math.floor((maxPoints - 2) / 2);
  const heads = await readHeads(db, runIds, names, (head) => isLong(head, stretches));
  const plans = (await narrow(db, heads, range)).map((head) => planOf(head, stretches));
  const [points, ends] = [await readPoints(db, plans), await readEnds(db, plans)];
  const buckets = await readBuckets(db, plans);
  const series = new Map(runIds.map((id): [string, MetricSeries[]] => [id, []]));
  for (const [i, plan] of plans.entries())
    series.get(plan.runId)!.push({
      name: plan.name,
      points:
        plan.level === 0
          ? thinShort(points[i]!, maxPoints, stretches)
          : thin(plan, points[i]!, ends[i]!, buckets[i]!),
    });
  return runIds.map((id) => series.get(id)!);
}

function checkRange({ from, to }: StepRange): void {
  const isStep = (step: number) => Number.isInteger(step) && step >= 0 && step <= LAST_STEP;
  if (!isStep(from)) throw invalidInput(['fromStep'], `fromStep must be 0 or more, got ${from}`);
  if (!isStep(to)) throw invalidInput(['toStep'], `toStep must be 0 or more, got ${to}`);
  if (to < from) throw invalidInput(['toStep'], `toStep must not be before fromStep (${from}), got ${to}`);
}

/** What is known of a series before its points are read. */
interface Head {
  runId: string;
  name: string;
  /** Points, also of buckets; in a range, at most as many. */
  n: number;
  /** The first and the last step of what is shown, or around them. */
  range: StepRange;
  /** Buckets of the ladder's lowest level from the first that is used to the last. */
  buckets: { from: number; to: number };
  /** Points that are read one by one: those before the buckets, and those behind them. Steps, both ends included. */
  before: StepRange;
  after: StepRange;
}

const isLong = ({ n }: Head, stretches: number) => n > SHORT_SERIES && n >= stretches * BASE_POINTS;

/** Puts what is missing of long series on the ladder first, such as all of one that is older than ladders. */
async function readHeads(
  db: Executor,
  runIds: readonly string[],
  names: readonly string[] | null,
  wantsLadder: (head: Head) => boolean,
): Promise<Head[]> {
  const heads = await queryHeads(db, runIds, names);
  const behind = heads.filter(
    (head) => wantsLadder(head) && head.n - head.buckets.to * BASE_POINTS > LONG_TAIL,
  );
  if (behind.length === 0) return heads;
  // One by one: what is made stays, though the caller may not wait for the end.
  for (const { runId, name } of behind) await extendLadder(db, runId, [name]);
  return queryHeads(db, runIds, names);
}

const NOTHING: StepRange = { from: 0, to: -1 };

async function queryHeads(
  db: Executor,
  runIds: readonly string[],
  names: readonly string[] | null,
): Promise<Head[]> {
  const { rows } = await db.execute<{
    run_id: string;
    name: string;
    buckets: number;
    after: number;
    tail: number;
    last: number;
  }>(sql`
    with recursive asked (run_id) as (select distinct unnest(${sql.param(runIds)}::uuid[])),
      series (run_id, name) as (${names === null ? ALL_NAMES : sql`select run_id, n.name from asked, (select distinct unnest(${sql.param(names)}::text[]) as name) n`})
    select s.run_id, s.name, coalesce(b.k + 1, 0) as buckets, coalesce(b.last_step, -1) as after, l.step as last, (
        select count(*)::int from ${metricPoints} m where m.run_id = s.run_id and m.name = s.name
          and m.step > coalesce(b.last_step, -1) and m.step <= l.step
      ) as tail
    from series s
    cross join lateral (
      select step from ${metricPoints} m where m.run_id = s.run_id and m.name = s.name order by step desc limit 1
    ) l
    left join lateral (
      select k, last_step from ${metricBuckets} b
      where b.run_id = s.run_id and b.name = s.name and b.level = 1 order by k desc limit 1
    ) b on true
    order by s.name, s.run_id`);
  return rows.map(({ run_id: runId, name, buckets, after, tail, last }) => ({
    ...{ runId, name },
    n: buckets * BASE_POINTS + tail,
    range: { from: 0, to: last },
    buckets: { from: 0, to: buckets },
    before: NOTHING,
    after: { from: after + 1, to: last },
  }));
}

/** What of the series lies in the range: whole buckets within it, and the points between them and its ends. */
async function narrow(db: Executor, heads: readonly Head[], range: StepRange): Promise<Head[]> {
  if (range.from === 0 && range.to === LAST_STEP) return [...heads];
  const rungs = new Map<Head, Awaited<ReturnType<typeof findRungs>>>();
  for (const runId of new Set(heads.map((head) => head.runId))) {
    const own = heads.filter((head) => head.runId === runId);
    const places = own.flatMap(({ name }) => [range.from, range.to].map((step) => ({ name, step })));
    const found = await findRungs(db, runId, places);
    for (const [i, head] of own.entries()) rungs.set(head, found.slice(2 * i, 2 * i + 2));
  }
  return heads.map((head) => {
    const [first, last] = rungs.get(head)!;
    const shown = { from: range.from, to: Math.min(range.to, head.range.to) };
    const from = first ? first.k + 1 : head.buckets.to;
    const end = last ? last.k : head.buckets.to;
    const tail = head.n - head.buckets.to * BASE_POINTS;
    // At most: the buckets at both ends, of which a part is in the range, and what is behind the ladder.
    const n = (Math.max(0, end - from) + 2) * BASE_POINTS + (last ? 0 : tail);
    if (!first || end <= from)
      return { ...head, n, range: shown, buckets: { from: 0, to: 0 }, before: NOTHING, after: shown };
    return {
      ...{ runId: head.runId, name: head.name, n, range: shown, buckets: { from, to: end } },
      before: { from: shown.from, to: first.lastStep },
      after: { from: last ? last.before + 1 : head.after.from, to: shown.to },
    };
  });
}

/** Every name once, each found from the one before by the index: a run has few names and many points. */
const ALL_NAMES = sql`
  select run_id, (select name from ${metricPoints} m where m.run_id = asked.run_id order by name limit 1) from asked
  union all
  select run_id, (
    select m.name from ${metricPoints} m where m.run_id = series.run_id and m.name > series.name
    order by m.name limit 1
  ) from series where series.name is not null`;

/** What of a series is read: all of a short one; the points beside the ladder, and `level` of it, of a long one. */
interface Plan extends Head {
  /** 0 where the ladder is not used. */
  level: number;
  /** Of a stretch, in points: whole buckets of the level. */
  length: number;
  /** Where the first stretch begins, in points of the whole series. */
  origin: number;
}

function planOf(head: Head, stretches: number): Plan {
  const { buckets, range } = head;
  if (!isLong(head, stretches)) {
    const none = { level: 0, length: 0, origin: 0, buckets: { from: 0, to: 0 } };
    return { ...head, ...none, before: NOTHING, after: range };
  }
  const ideal = head.n / stretches;
  let level = 1;
  while (level < MAX_LEVEL && 2 * bucketPoints(level + 1) <= ideal) level += 1;
  // Points before the first bucket are fewer than a bucket.
  const begin = Math.max(0, buckets.from - 1) * BASE_POINTS;
  const origin = Math.floor(begin / bucketPoints(level)) * bucketPoints(level);
  const span = head.n + (buckets.from === 0 ? 0 : begin - origin);
  const length = Math.ceil(span / stretches / bucketPoints(level)) * bucketPoints(level);
  return { ...head, level, length, origin };
}

/** The points of each series that are not read from the ladder. */
async function readPoints(db: Executor, plans: readonly Plan[]): Promise<MetricPoint[][]> {
  const parts = plans.flatMap(({ runId, name, before, after }, place) =>
    [before, after].filter(({ from, to }) => from <= to).map((part) => ({ runId, name, place, ...part })),
  );
  const column = (key: 'runId' | 'name' | 'place' | 'from' | 'to') =>
    sql.param(parts.map((part) => part[key]));
  const { rows } = await db.execute<{ place: number; bytes: Buffer }>(sql`
    select p.place, m.bytes
    from unnest(${column('runId')}::uuid[], ${column('name')}::text[], ${column('place')}::int[],
      ${column('from')}::int[], ${column('to')}::int[]) with ordinality as p (run_id, name, place, lo, hi, i)
    cross join lateral (
      select string_agg(${packPoint('step', 'value', 'at')}, '') as bytes
      from (
        select step, value, at from ${metricPoints} m
        where m.run_id = p.run_id and m.name = p.name and m.step between p.lo and p.hi order by step
      ) ordered
    ) m
    where m.bytes is not null
    order by p.i`);
  return unpack(plans.length, rows);
}

/** The first and the last point of each series that is read from the ladder. */
async function readEnds(db: Executor, plans: readonly Plan[]): Promise<MetricPoint[][]> {
  const long = plans.flatMap(({ runId, name, level, range }, place) =>
    level === 0 ? [] : [{ runId, name, place, ...range }],
  );
  if (long.length === 0) return plans.map(() => []);
  const column = (key: 'runId' | 'name' | 'place' | 'from' | 'to') => sql.param(long.map((one) => one[key]));
  const end = sql`select ${packPoint('step', 'value', 'at')} as bytes from ${metricPoints} m
    where m.run_id = p.run_id and m.name = p.name and m.step between p.lo and p.hi order by m.step`;
  const { rows } = await db.execute<{ place: number; bytes: Buffer }>(sql`
    select p.place, f.bytes || l.bytes as bytes
    from unnest(${column('runId')}::uuid[], ${column('name')}::text[], ${column('place')}::int[],
      ${column('from')}::int[], ${column('to')}::int[]) as p (run_id, name, place, lo, hi)
    cross join lateral (${end} limit 1) f cross join lateral (${end} desc limit 1) l`);
  return unpack(plans.length, rows);
}

function unpack(n: number, rows: readonly { place: number; bytes: Buffer }[]): MetricPoint[][] {
  const series = Array.from({ length: n }, (): MetricPoint[] => []);
  for (const { place, bytes } of rows)
    for (let offset = 0; offset < bytes.length; offset += POINT_BYTES)
      series[place]!.push(unpackPoint(bytes, offset));
  return series;
}

/** Bytes of a packed bucket: its level and place, and its extremes. */
const BUCKET_BYTES = 6 + 2 * POINT_BYTES;

/**
 * The packed buckets of each series in the order of steps: whole ones of its level, and on both sides of them what is
 * left to lower levels.
 */
async function readBuckets(db: Executor, plans: readonly Plan[]): Promise<Buffer[]> {
  if (plans.every(({ level }) => level === 0)) return plans.map(() => Buffer.alloc(0));
  const parts = plans.flatMap(({ runId, name, level, buckets }, place) =>
    level === 0 ? [] : partsOf(buckets, level).map((part) => ({ runId, name, place, ...part })),
  );
  const column = (key: 'runId' | 'name' | 'place' | 'level' | 'from' | 'to') =>
    sql.param(parts.map((part) => part[key]));
  const { rows } = await db.execute<{ place: number; bytes: Buffer }>(sql`
    select p.place, b.bytes
    from unnest(${column('runId')}::uuid[], ${column('name')}::text[], ${column('place')}::int[],
      ${column('level')}::int[], ${column('from')}::int[], ${column('to')}::int[])
      with ordinality as p (run_id, name, place, level, lo, hi, i)
    cross join lateral (
      select string_agg(int2send(level) || int4send(k)
        || ${packPoint('low_step', 'low_value', 'low_at')} || ${packPoint('high_step', 'high_value', 'high_at')}, '') as bytes
      from (
        select * from ${metricBuckets} b
        where b.run_id = p.run_id and b.name = p.name and b.level = p.level and b.k >= p.lo and b.k < p.hi order by b.k
      ) ordered
    ) b
    where b.bytes is not null
    order by p.i`);
  const read = plans.map((): Buffer[] => []);
  for (const { place, bytes } of rows) read[place]!.push(bytes);
  return read.map((buffers) => Buffer.concat(buffers));
}

/** Buckets `from` … `to` of the lowest level as whole buckets of the highest level that fits, from left to right. */
function partsOf(
  { from, to }: { from: number; to: number },
  highest: number,
): { level: number; from: number; to: number }[] {
  const left = [];
  const right = [];
  let [lo, hi] = [from, to];
  for (let level = 1; level < highest; level += 1) {
    const [up, down] = [Math.ceil(lo / FANOUT), Math.floor(hi / FANOUT)];
    if (up >= down) return [...left, { level, from: lo, to: hi }, ...right.reverse()];
    if (lo < up * FANOUT) left.push({ level, from: lo, to: up * FANOUT });
    if (down * FANOUT < hi) right.push({ level, from: down * FANOUT, to: hi });
    [lo, hi] = [up, down];
  }
  return [...left, { level: highest, from: lo, to: hi }, ...right.reverse()];
}

function thinShort(points: MetricPoint[], maxPoints: number, stretches: number): MetricPoint[] {
  if (points.length <= maxPoints) return points;
  const extremes = new Extremes();
  for (const [i, point] of points.entries())
    extremes.add(Math.floor((i * stretches) / points.length), point, point);
  return inOrder([points[0]!, ...extremes.points(), points.at(-1)!]);
}

function thin(plan: Plan, points: MetricPoint[], ends: MetricPoint[], buckets: Buffer): MetricPoint[] {
  const extremes = new Extremes();
  const add = (place: number, low: MetricPoint, high: MetricPoint) =>
    extremes.add(Math.floor((place - plan.origin) / plan.length), low, high);
  const [before, after] = [
    points.filter(({ step }) => step <= plan.before.to),
    points.filter(({ step }) => step > plan.before.to),
  ];
  const first = plan.buckets.from * BASE_POINTS - before.length;
  for (const [i, point] of before.entries()) add(first + i, point, point);
  for (let offset = 0; offset < buckets.length; offset += BUCKET_BYTES) {
    const from = buckets.readInt32BE(offset + 2) * bucketPoints(buckets.readInt16BE(offset));
    const [low, high] = [offset + 6, offset + 6 + POINT_BYTES].map((place) => unpackPoint(buckets, place));
    add(from, low!, high!);
  }
  for (const [i, point] of after.entries()) add(plan.buckets.to * BASE_POINTS + i, point, point);
  return inOrder([...ends, ...extremes.points()]);
}
