/** A database as large as years of use make it, written by statements of its own rather than through the server. */
import { sql } from 'drizzle-orm';
import type { Db } from '../../src/db/client.ts';
import { insertDataset, insertModel, insertRunningRun } from '../../test/helpers/fixtures.ts';

export interface Size {
  runs: number;
  /** Points of the longest series. */
  longest: number;
  /** Points of all series together. */
  points: number;
  events: number;
  /** Datasets, models and ontologies, each. */
  others: number;
}

export interface Filled {
  datasetId: string;
  /** A run of one series of `longest` points. */
  longRunId: string;
  /** A run of eight series that have `longest` points together. */
  wideRunId: string;
  /** A run with the most events. */
  eventfulRunId: string;
}

const WIDE = 8;
/** Of the runs that hold the other points: series a run, and points a series. */
const USUAL = { series: 4, points: 2000 };

export async function fillDatabase(db: Db, size: Size): Promise<Filled> {
  const datasetId = await insertDataset(db);
  for (let i = 1; i < size.others; i += 1) await insertModel(db, await insertDataset(db));
  await db.execute(sql`
    insert into runs (kind, status, phase, progress, settings, seed, dataset_id, dataset_hash, code_version, last_seq,
      created_at, started_at, finished_at, error_code, error_message)
    select case i % 3 when 0 then 'MODEL' when 1 then 'ALIGNMENT' else 'BASELINE' end, status, 'DONE', 1, '{}', i,
      ${datasetId}, 'x', 'bench', 10, now() - i * interval '1 min', now() - i * interval '1 min',
      case when status = 'QUEUED' then null else now() - i * interval '1 min' end,
      case when status = 'FAILED' then 'ENGINE_FAILED' end, case when status = 'FAILED' then 'x' end
    from generate_series(1, ${size.runs}::int) i cross join lateral (
      select case when i % 10 = 0 then 'FAILED' when i % 997 = 0 then 'QUEUED' else 'SUCCEEDED' end as status
    ) s`);
  const [long, wide, eventful] = [
    await insertRunningRun(db, { datasetId }),
    await insertRunningRun(db, { datasetId }),
    await insertRunningRun(db, { datasetId }),
  ];
  await addPoints(db, sql`select ${long.id}::uuid as id, 1 as n`, size.longest);
  await addPoints(db, sql`select ${wide.id}::uuid as id, ${WIDE}::int as n`, size.longest / WIDE);
  const rest = Math.max(0, size.points - 2 * size.longest);
  const usual = Math.ceil(rest / (USUAL.series * USUAL.points));
  await addPoints(
    db,
    sql`(select id, ${USUAL.series}::int as n from runs where code_version = 'bench' order by created_at desc limit ${usual})`,
    USUAL.points,
  );
  await addEvents(db, sql`select ${eventful.id}::uuid as id`, size.events / 10);
  await addEvents(
    db,
    sql`select id from runs where code_version = 'bench'`,
    Math.floor((0.9 * size.events) / size.runs),
  );
  // Autovacuum does it within minutes.
  for (const table of ['runs', 'run_events', 'metric_points'])
    await db.execute(sql.raw(`vacuum analyze ${table}`));
  return { datasetId, longRunId: long.id, wideRunId: wide.id, eventfulRunId: eventful.id };
}

/** `n` series of so many points for each run; a wave with noise, and now and then a spike. */
async function addPoints(db: Db, runs: ReturnType<typeof sql>, points: number): Promise<void> {
  await db.execute(sql`set local statement_timeout = 0`);
  for (let from = 0; from < points; from += 100_000)
    await db.execute(sql`
      insert into metric_points (run_id, name, step, value, at, seq)
      select r.id, 'metric/' || k, i, sin(i / 1000.0) + random() / 10 + case when i % 9973 = 0 then 10 else 0 end,
        now(), 100 + i
      from (${runs}) r cross join lateral generate_series(1, r.n) k
        cross join generate_series(${from + 1}::int, ${Math.min(points, from + 100_000)}::int) i
      order by r.id, i, k`);
}

async function addEvents(db: Db, runs: ReturnType<typeof sql>, events: number): Promise<void> {
  await db.execute(sql`
    insert into run_events (run_id, seq, at, type, payload)
    select r.id, 10000000 + i, now(), 'LOG', jsonb_build_object('level', 'INFO', 'message', 'line ' || i)
    from (${runs}) r cross join generate_series(1, ${events}::int) i`);
}
