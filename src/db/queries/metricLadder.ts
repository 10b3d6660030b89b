/**
 * The ladder over metric series: lowest and highest values of 16, 64, 256 … points in the order of steps, so that a
 * curve of a million points is drawn from some thousand rows. It follows from the points alone, whoever makes it and
 * how often; whole buckets only, so what is made once stays. Points of a series come in the order of steps.
 */
import { type SQL, sql } from 'drizzle-orm';
import type { Executor } from '../client.ts';
import { metricBuckets, metricPoints } from '../tables/index.ts';

/** Points that a bucket of the lowest level stands for. */
export const BASE_POINTS = 16;
/** Buckets that one of the next level stands for. */
export const FANOUT = 4;
export const MAX_LEVEL = 7;

/** Points that a bucket of this level stands for. */
export const bucketPoints = (level: number) => BASE_POINTS * FANOUT ** (level - 1);

/** Points of a series that one transaction puts on the ladder: an old run has millions, and a statement its time. */
const PIECE = 65_536;

/** Makes what the points since the last time fill, of these series of a run; any number of processes may at once. */
export async function extendLadder(db: Executor, runId: string, names: readonly string[]): Promise<void> {
  let again = names.length > 0;
  while (again) again = await extendBy(db, runId, names);
}

/** One piece of each series; whether there may be more. */
function extendBy(db: Executor, runId: string, names: readonly string[]): Promise<boolean> {
  return db.transaction(async (tx) => {
    const { rowCount } = await tx.execute(bucketsOfPoints(runId, names));
    for (let level = 2, made = rowCount; level <= MAX_LEVEL && made; level += 1)
      made = (await tx.execute(bucketsOfBuckets(runId, names, level))).rowCount;
    return (rowCount ?? 0) >= PIECE / BASE_POINTS;
  });
}

/** Of each series: the place of the first bucket that is missing, and the last step before it. */
const heads = (runId: string, names: readonly string[], level: number) => sql`
  select s.name, coalesce(b.k + 1, 0) as next, coalesce(b.last_step, -1) as after
  from unnest(${sql.param(names)}::text[]) as s (name) left join lateral (
    select k, last_step from ${metricBuckets} b
    where b.run_id = ${runId} and b.name = s.name and b.level = ${level} order by k desc limit 1
  ) b on true`;

/** In the text of a statement, where a parameter would differ from place to place. */
const [BASE, FAN] = [BASE_POINTS, FANOUT].map((n) => sql.raw(String(n))) as [SQL, SQL];

/** Triples [value, ±step, seconds] compare by value first, so that an extreme tells where and when it is. */
const insert = (runId: string, level: number, extremes: SQL) => sql`
  insert into ${metricBuckets} (run_id, name, level, k, last_step,
    low_value, low_step, low_at, high_value, high_step, high_at)
  select ${runId}, name, ${level}, k, last_step,
    low[1], low[2], to_timestamp(low[3]), high[1], -high[2], to_timestamp(high[3])
  from (${extremes}) as e
  on conflict do nothing`;

function bucketsOfPoints(runId: string, names: readonly string[]) {
  return insert(
    runId,
    1,
    sql`
    select name, next + i / ${BASE} as k, max(step) as last_step, min(array[value, step, at]) as low,
      coalesce(max(array[value, -step, at]) filter (where value <> 'NaN'), min(array[value, -step, at])) as high
    from (
      select h.name, h.next, p.step, p.value, extract(epoch from p.at)::float8 as at,
        (row_number() over (partition by h.name order by p.step) - 1)::int as i
      from (${heads(runId, names, 1)}) h cross join lateral (
        select step, value, at from ${metricPoints} m
        where m.run_id = ${runId} and m.name = h.name and m.step > h.after order by step limit ${PIECE}
      ) p
    ) numbered
    group by name, next, i / ${BASE} having count(*) = ${BASE}`,
  );
}

function bucketsOfBuckets(runId: string, names: readonly string[], level: number) {
  return insert(
    runId,
    level,
    sql`
    select name, k / ${FAN} as k, max(last_step) as last_step, min(low) as low,
      coalesce(max(high) filter (where high[1] <> 'NaN'), min(high)) as high
    from (
      select b.name, b.k, b.last_step, array[b.low_value, b.low_step, extract(epoch from b.low_at)::float8] as low,
        array[b.high_value, -b.high_step, extract(epoch from b.high_at)::float8] as high
      from (${heads(runId, names, level)}) h join ${metricBuckets} b
        on b.run_id = ${runId} and b.name = h.name and b.level = ${level - 1} and b.k >= h.next * ${FAN}
    ) below
    group by name, k / ${FAN} having count(*) = ${FAN}`,
  );
}

/** A bucket of the lowest level that holds a step, and where the ladder ends before it and with it. */
export interface Rung {
  k: number;
  /** Last step of the bucket before; -1 where there is none. */
  before: number;
  /** Its own last step. */
  lastStep: number;
}

/**
 * For each series and step the first bucket that ends at the step or behind it; null where the ladder ends before. Found
 * from the top down, a few rows a level.
 */
export async function findRungs(
  db: Executor,
  runId: string,
  places: readonly { name: string; step: number }[],
): Promise<(Rung | null)[]> {
  if (places.length === 0) return [];
  const of = (level: SQL) => sql`b.run_id = ${runId} and b.name = d.name and b.level = ${level}`;
  const below = sql`d.level - 1`;
  const { rows } = await db.execute<{ rung: Rung | null }>(sql`
    with recursive down (place, name, step, level, k) as (
      select place, name, step, ${MAX_LEVEL + 1}::int, 0
      from unnest(${sql.param(places.map(({ name }) => name))}::text[],
        ${sql.param(places.map(({ step }) => step))}::int[]) with ordinality as p (name, step, place)
      union all
      select d.place, d.name, d.step, ${below}, coalesce(
        (select b.k from ${metricBuckets} b
          where ${of(below)} and b.k >= d.k * ${FAN} and b.last_step >= d.step order by b.k limit 1),
        (select b.k + 1 from ${metricBuckets} b where ${of(below)} order by b.k desc limit 1),
        d.k * ${FAN})
      from down d where d.level > 1
    )
    select (
      select json_build_object('k', b.k, 'lastStep', b.last_step, 'before', coalesce((
        select a.last_step from ${metricBuckets} a
        where a.run_id = ${runId} and a.name = d.name and a.level = 1 and a.k = b.k - 1), -1))
      from ${metricBuckets} b where ${of(sql`1`)} and b.k = d.k
    ) as rung
    from down d where d.level = 1 order by d.place`);
  return rows.map(({ rung }) => rung);
}
