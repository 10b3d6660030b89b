import { asc, eq } from 'drizzle-orm';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Database } from '../../src/db/client.ts';
import { appendMetrics, type Claim } from '../../src/db/queries/events.ts';
import { extendLadder } from '../../src/db/queries/metricLadder.ts';
import { readMetrics } from '../../src/db/queries/metrics.ts';
import { metricBuckets } from '../../src/db/tables/index.ts';
import { createRandom } from '../../src/random.ts';
import { createTestDatabase } from '../helpers/database.ts';
import { insertRunningRun } from '../helpers/fixtures.ts';

const N = 40_007;
const AT = 1_700_000_000_000;
const NAMES = ['walk', 'diverged', 'steps'];
let database: Database;
/** Has no ladder before it is read, as runs from before there were ladders. */
let old: Claim;
/** Buckets that it had from being written. */
let kept: number;
/** Written piece by piece, the ladder with it. */
let grown: Claim;

const random = createRandom(7, 'ladder');
/** A walk with spikes; one that diverges in the middle; one of few values, with many ties. */
const series: Record<string, number[]> = { walk: [], diverged: [], steps: [] };
let level = 0;
for (let i = 0; i < N; i += 1) {
  level += random.next() - 0.5;
  series.walk!.push(level + (i % 1009 === 500 ? 40 : 0) - (i % 2003 === 1000 ? 40 : 0));
  series.diverged!.push(i > 15_000 && i < 30_000 ? Number.NaN : level);
  series.steps!.push(Math.floor(level));
}
const rows = (from: number, to: number) =>
  Array.from({ length: to - from }, (_, k) => ({
    step: 3 * (from + k),
    at: AT + from + k,
    values: Object.fromEntries(NAMES.map((name) => [name, series[name]![from + k]!])),
  }));

beforeAll(async () => {
  database = await createTestDatabase();
  const { db } = database;
  old = (await insertRunningRun(db)).claim;
  grown = (await insertRunningRun(db)).claim;
  for (let from = 0; from < N; from += 5000)
    await appendMetrics(db, old, rows(from, Math.min(N, from + 5000)));
  kept = (await buckets(old)).length;
  await db.delete(metricBuckets).where(eq(metricBuckets.runId, old.runId));
  for (let from = 0, piece = 1; from < N; from += piece, piece = (7 * piece) % 4999) {
    await appendMetrics(db, grown, rows(from, Math.min(N, from + piece)));
    // Two at once, as a reader beside the writer.
    await Promise.all([1, 2].map(() => extendLadder(db, grown.runId, NAMES)));
  }
});
afterAll(() => database.close());

/** Steps of what is kept of stretches of `length` points, by the words of `readMetrics`. */
function keep(values: readonly number[], length: number): number[] {
  const kept = new Set([0, values.length - 1]);
  for (let from = 0; from < values.length; from += length) {
    const indices = values.slice(from, from + length).map((_, i) => from + i);
    const finite = indices.filter((i) => !Number.isNaN(values[i]));
    if (finite.length === 0) for (const i of [indices[0]!, indices.at(-1)!]) kept.add(i);
    else {
      kept.add(finite.reduce((best, i) => (values[i]! < values[best]! ? i : best)));
      kept.add(finite.reduce((best, i) => (values[i]! > values[best]! ? i : best)));
    }
  }
  return [...kept].sort((a, b) => a - b);
}

const buckets = (claim: Claim) =>
  database.db
    .select()
    .from(metricBuckets)
    .where(eq(metricBuckets.runId, claim.runId))
    .orderBy(asc(metricBuckets.name), asc(metricBuckets.level), asc(metricBuckets.k));

describe.each(NAMES)('a long series of %s', (name) => {
  test.each([4, 17, 62, 500, 1001, 4000])('is thinned to %i points as promised', async (maxPoints) => {
    const values = series[name]!;
    const ideal = N / Math.floor((maxPoints - 2) / 2);
    // Whole buckets of 16, 64 … points, no more than twice what equal stretches would take.
    const lengths = [16, 64, 256, 1024, 4096, 16_384].map((bucket) => Math.ceil(ideal / bucket) * bucket);
    const candidates = lengths.filter((length) => length <= 2 * ideal).map((length) => keep(values, length));
    for (const { runId } of [old, grown]) {
      const [read] = await readMetrics(database.db, runId, [name], maxPoints);
      const indices = read!.points.map(({ step }) => step / 3);
      expect(indices.length).toBeLessThanOrEqual(maxPoints);
      expect(indices.length).toBeGreaterThanOrEqual(Math.min(4, maxPoints / 3));
      expect(candidates).toContainEqual(indices);
      expect(read!.points.map(({ value }) => value)).toEqual(indices.map((i) => values[i]));
      expect(read!.points.map(({ at }) => at.getTime())).toEqual(indices.map((i) => AT + i));
    }
  });
});

test('a long series is on the ladder by the time it is written', () => {
  expect(kept).toBeGreaterThan((NAMES.length * (N - 5000)) / 16);
});

describe.each([
  ['a range with buckets', 5003, 39_990],
  ['a range from the beginning', 0, 30_000],
  ['a range to the end', 12_345, N - 1],
])('%s', (_what, from, to) => {
  test.each([62, 500, 1500])('is thinned to %i points as if there were no others', async (maxPoints) => {
    // Between two points, as a pointer on a curve is.
    const range = { from: Math.max(0, 3 * from - 1), to: 3 * to + 1 };
    const [walk] = await readMetrics(database.db, grown.runId, ['walk'], maxPoints, range);
    const indices = walk!.points.map(({ step }) => step / 3);
    expect(indices.length).toBeLessThanOrEqual(maxPoints);
    expect(indices.length).toBeGreaterThan(maxPoints / 3);
    expect([indices[0], indices.at(-1)]).toEqual([from, to]);
    expect(indices).toEqual([...new Set(indices)].sort((a, b) => a - b));
    const values = series.walk!;
    expect(walk!.points.map(({ value }) => value)).toEqual(indices.map((i) => values[i]));
    const within = indices.length ? values.slice(from, to + 1) : [];
    expect(indices).toContain(from + within.indexOf(Math.max(...within)));
    expect(indices).toContain(from + within.indexOf(Math.min(...within)));
    // Stretches are shorter than what lies between two spikes, so each spike is the highest of its own.
    const spikes = values.map((_, i) => i).filter((i) => i % 1009 === 500 && i >= from && i <= to);
    if (maxPoints >= 500) for (const spike of spikes) expect(indices).toContain(spike);
  });
});

test('a closer look shows every point, and a range without any is empty', async () => {
  const look = async (from: number, to: number, names: string[] | null = ['walk']) =>
    (await readMetrics(database.db, grown.runId, names, 100, { from, to })).map(({ points }) =>
      points.map(({ step }) => step),
    );
  const steps = (from: number, to: number) => Array.from({ length: to - from + 1 }, (_, i) => 3 * (from + i));
  expect(await look(3 * 20_000, 3 * 20_099)).toEqual([steps(20_000, 20_099)]);
  expect(await look(3 * (N - 3), 2 ** 31 - 1)).toEqual([steps(N - 3, N - 1)]);
  expect(await look(31, 32)).toEqual([[]]);
  expect(await look(3 * N, 3 * N + 5, null)).toEqual([[], [], []]);
  await expect(look(5, 4)).rejects.toMatchObject({ path: ['toStep'] });
  await expect(look(-1, 4)).rejects.toMatchObject({ path: ['fromStep'] });
});

test('the ladder is the same however it came to be, and has whole buckets of several levels', async () => {
  // Any long curve puts an old run on the ladder.
  await readMetrics(database.db, old.runId, null, 500);
  const made = (await buckets(old)).map(({ runId: _, ...bucket }) => bucket);
  expect(made.length).toBeGreaterThan((NAMES.length * N) / 16);
  expect(new Set(made.map((bucket) => bucket.level))).toEqual(new Set([1, 2, 3, 4, 5, 6]));
  await extendLadder(database.db, grown.runId, NAMES);
  expect((await buckets(grown)).map(({ runId: _, ...bucket }) => bucket)).toEqual(made);
});

test('points that came after the ladder was extended are in the curve', async () => {
  const { claim } = await insertRunningRun(database.db);
  await appendMetrics(database.db, claim, rows(0, 30_000));
  await extendLadder(database.db, claim.runId, NAMES);
  await appendMetrics(database.db, claim, [{ step: 200_000, at: AT, values: { walk: 1e6 } }]);
  const [walk] = await readMetrics(database.db, claim.runId, ['walk'], 100);
  expect(walk!.points.at(-1)).toEqual({ step: 200_000, value: 1e6, at: new Date(AT) });
});
