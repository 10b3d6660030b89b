import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import type { Database, Db } from '../../src/db/client.ts';
import {
  appendLogs,
  appendMetrics,
  type Claim,
  type MetricsEvent,
  readEvents,
} from '../../src/db/queries/events.ts';
import { cancelRun, readRun, reportProgress } from '../../src/db/queries/runs.ts';
import type { MetricRow } from '../../src/engine/contract/protocol.ts';
import { createTestDatabase } from '../helpers/database.ts';
import { insertRunningRun } from '../helpers/fixtures.ts';

let database: Database;
let db: Db;
let claim: Claim;
/** QUEUED and RUNNING. */
const BEGINNING = 2;

beforeAll(async () => {
  database = await createTestDatabase();
  db = database.db;
});
afterAll(() => database.close());
beforeEach(async () => {
  ({ claim } = await insertRunningRun(db));
});

const step = (n: number, values: Record<string, number> = { loss: n / 10 }): MetricRow => ({
  step: n,
  at: 1_700_000_000_000 + n,
  values,
});
const read = (after = BEGINNING, limit = 1000) => readEvents(db, claim.runId, after, limit);
const metricSteps = async () =>
  (await read())
    .filter((event): event is MetricsEvent => event.type === 'METRICS')
    .map((event) => event.step);

describe('reading', () => {
  test('tells status changes, metrics and log lines in the order they were stored', async () => {
    await appendMetrics(db, claim, [step(1, { loss: 0.5, accuracy: 1 }), step(2)]);
    await appendLogs(db, claim, [{ level: 'WARN', message: 'a\0b', at: 1_700_000_000_500 }]);
    await reportProgress(db, claim, { phase: 'TRAIN', progress: 0.5, etaSeconds: 3 });
    expect(await read(0)).toEqual([
      expect.objectContaining({ seq: 1, type: 'STATUS', status: 'QUEUED' }),
      expect.objectContaining({ seq: 2, type: 'STATUS', status: 'RUNNING', phase: 'STARTING' }),
      {
        ...{ runId: claim.runId, seq: 3, at: new Date(1_700_000_000_001), type: 'METRICS', step: 1 },
        metrics: [
          { name: 'accuracy', value: 1 },
          { name: 'loss', value: 0.5 },
        ],
      },
      expect.objectContaining({ seq: 4, type: 'METRICS', step: 2, metrics: [{ name: 'loss', value: 0.2 }] }),
      {
        ...{ runId: claim.runId, seq: 5, at: new Date(1_700_000_000_500), type: 'LOG' },
        ...{ level: 'WARN', message: 'a�b' },
      },
      expect.objectContaining({ seq: 6, status: 'RUNNING', phase: 'TRAIN', progress: 0.5, etaSeconds: 3 }),
    ]);
  });

  test('goes on after any number, at most so many at a time', async () => {
    await appendMetrics(
      db,
      claim,
      [1, 2, 3].map((n) => step(n)),
    );
    await appendLogs(db, claim, [{ level: 'INFO', message: 'x', at: 0 }]);
    expect((await read(3, 2)).map((event) => event.seq)).toEqual([4, 5]);
    expect((await read(5)).map((event) => event.seq)).toEqual([6]);
    expect(await read(6)).toEqual([]);
  });

  test('keeps values exactly, the unusual ones too', async () => {
    const values = { a: 0.1 + 0.2, b: Number.NaN, c: Number.POSITIVE_INFINITY, d: -1.7e308, e: 5e-324 };
    await appendMetrics(db, claim, [step(1, values)]);
    const [event] = (await read()) as MetricsEvent[];
    expect(Object.fromEntries(event!.metrics.map(({ name, value }) => [name, value]))).toEqual(values);
  });
});

describe('numbering', () => {
  test('has no gap and no double when writers compete', async () => {
    const batches = Array.from({ length: 30 }, (_, b) => [1, 2, 3].map((n) => step(b * 3 + n)));
    await Promise.all([
      ...batches.map((rows) => appendMetrics(db, claim, rows)),
      ...batches.map((_, i) => appendLogs(db, claim, [{ level: 'INFO', message: `${i}`, at: 0 }])),
      ...batches.map((_, i) =>
        reportProgress(db, claim, { phase: 'TRAIN', progress: i / 30, etaSeconds: 1 }),
      ),
    ]);
    const events = await read(0);
    expect(events.map((event) => event.seq)).toEqual(Array.from({ length: 152 }, (_, i) => i + 1));
    expect((await readRun(db, claim.runId))!.lastSeq).toBe(152);
  });

  test('drops what a resumed run computes again', async () => {
    await appendMetrics(
      db,
      claim,
      [1, 2, 3].map((n) => step(n)),
    );
    await appendMetrics(
      db,
      claim,
      [2, 3, 4, 5].map((n) => step(n)),
    );
    await appendMetrics(
      db,
      claim,
      [4, 5].map((n) => step(n)),
    );
    expect(await metricSteps()).toEqual([1, 2, 3, 4, 5]);
    expect((await readRun(db, claim.runId))!.lastSeq).toBe(BEGINNING + 5);
  });

  test('keeps the values of a step that are new', async () => {
    await appendMetrics(db, claim, [step(1, { loss: 1 })]);
    await appendMetrics(db, claim, [step(1, { loss: 1, accuracy: 0.5 }), step(2, { loss: 2 })]);
    expect((await read()).map((event) => (event as MetricsEvent).metrics)).toEqual([
      [{ name: 'loss', value: 1 }],
      [{ name: 'accuracy', value: 0.5 }],
      [{ name: 'loss', value: 2 }],
    ]);
  });

  test('takes the first of two rows for one step in one batch', async () => {
    await appendMetrics(db, claim, [step(1, { loss: 1 }), step(1, { loss: 2 }), step(2)]);
    expect((await read()).map((event) => event.seq)).toEqual([3, 4]);
    expect(((await read())[0] as MetricsEvent).metrics).toEqual([{ name: 'loss', value: 1 }]);
  });
});

describe('a void claim', () => {
  const attempts: [string, (claim: Claim) => Promise<boolean>][] = [
    ['metrics', (held) => appendMetrics(db, held, [step(1)])],
    ['logs', (held) => appendLogs(db, held, [{ level: 'INFO', message: 'x', at: 0 }])],
    ['progress', (held) => reportProgress(db, held, { phase: 'TRAIN', progress: 1, etaSeconds: null })],
  ];

  test.each(attempts)('stores no %s for an earlier attempt', async (_, write) => {
    expect(await write({ ...claim, attempt: claim.attempt - 1 })).toBe(false);
    expect(await read()).toEqual([]);
  });

  test.each(attempts)('stores no %s after the run was cancelled', async (_, write) => {
    await cancelRun(db, claim.runId);
    expect(await write(claim)).toBe(false);
    expect(await read(BEGINNING + 1)).toEqual([]);
  });
});
