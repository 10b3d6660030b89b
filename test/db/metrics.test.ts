import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Database } from '../../src/db/client.ts';
import { appendMetrics } from '../../src/db/queries/events.ts';
import { readMetrics } from '../../src/db/queries/metrics.ts';
import { createTestDatabase } from '../helpers/database.ts';
import { insertRunningRun } from '../helpers/fixtures.ts';

const STEPS = 3_001;
let database: Database;
let runId: string;
/** A slow wave with one spike up and one down, far from any stretch's border. */
const wave = Array.from(
  { length: STEPS },
  (_, i) => Math.sin(i / 300) + (i === 777 ? 50 : 0) - (i === 2222 ? 50 : 0),
);

beforeAll(async () => {
  database = await createTestDatabase();
  const { claim } = await insertRunningRun(database.db);
  runId = claim.runId;
  const rows = wave.map((value, i) => ({
    step: i * 2,
    at: 1_700_000_000_000 + i,
    values: { wave: value, ...(i % 100 === 0 ? { rare: i } : {}), diverged: i < 1500 ? i : Number.NaN },
  }));
  await appendMetrics(database.db, claim, rows);
});
afterAll(() => database.close());

const read = async (name: string, maxPoints: number) =>
  (await readMetrics(database.db, runId, [name], maxPoints))[0]!.points;

describe('readMetrics', () => {
  test.each([4, 5, 17, 500, 3000])('keeps the ends and the extremes within %i points', async (maxPoints) => {
    const points = await read('wave', maxPoints);
    expect(points.length).toBeLessThanOrEqual(maxPoints);
    expect(points.length).toBeGreaterThan(maxPoints / 3);
    expect(points.map((point) => point.step)).toEqual([...points.map((p) => p.step)].sort((a, b) => a - b));
    for (const i of [0, 777, 2222, STEPS - 1]) {
      expect(points).toContainEqual({ step: i * 2, value: wave[i], at: new Date(1_700_000_000_000 + i) });
    }
  });

  test('keeps the extremes of every stretch', async () => {
    const points = await read('wave', 62);
    const values = new Set(points.map((point) => point.value));
    for (let bucket = 0; bucket < 30; bucket += 1) {
      const stretch = wave.filter((_, i) => Math.floor((i * 30) / STEPS) === bucket);
      expect(values).toContain(Math.max(...stretch));
      expect(values).toContain(Math.min(...stretch));
    }
  });

  test('gives a short series whole', async () => {
    expect((await read('wave', STEPS)).map((point) => point.value)).toEqual(wave);
    expect(await read('rare', 31)).toHaveLength(31);
  });

  test('shows where a series diverged without losing its maximum', async () => {
    const values = (await read('diverged', 62)).map((point) => point.value);
    expect(values).toContain(1499);
    expect(values.filter(Number.isNaN).length).toBeGreaterThan(10);
  });

  test('gives all series, or those asked for', async () => {
    const names = async (asked: string[] | null) =>
      (await readMetrics(database.db, runId, asked, 4)).map((series) => series.name);
    expect(await names(null)).toEqual(['diverged', 'rare', 'wave']);
    expect(await names(['wave', 'unknown'])).toEqual(['wave']);
    expect(await names([])).toEqual([]);
  });

  test.each([3, 10_001, 4.5, Number.NaN])('refuses %s points', async (maxPoints) => {
    await expect(read('wave', maxPoints)).rejects.toMatchObject({
      path: ['maxPoints'],
      message: `maxPoints must be 4–10000, got ${maxPoints}`,
    });
  });
});
