/**
 * What a run reports: status changes, log lines and metrics, numbered 1, 2, 3 … by one counter a run.
 * Writers lock the run's row, so numbers are given in the order of commits, without gaps or doubles.
 */
import { and, desc, eq, sql } from 'drizzle-orm';
import { isOfConcept } from '../../engine/contract/metrics.ts';
import type { Phase } from '../../engine/contract/phases.ts';
import type { MetricRow } from '../../engine/contract/protocol.ts';
import type { Executor } from '../client.ts';
import { bindingLooks, metricPoints, type RunStatus, runEvents, runs } from '../tables/index.ts';
import { extendLadder } from './metricLadder.ts';

/** Events of a run after which its series are put on the ladder again. */
const LADDER_EVERY = 4096;

/** `NOTIFY` payloads of this channel are `<run id>:<newest seq>`. */
export const RUN_EVENTS_CHANNEL = 'run_events';

/** A worker's right to write to a run, until the run ends or is claimed again. */
export interface Claim {
  runId: string;
  attempt: number;
}

export type LogLevel = 'INFO' | 'WARN' | 'ERROR';

interface EventBase {
  runId: string;
  seq: number;
  at: Date;
}
export interface StatusEvent extends EventBase {
  type: 'STATUS';
  status: RunStatus;
  phase: Phase;
  progress: number;
  etaSeconds: number | null;
}
export interface LogEvent extends EventBase {
  type: 'LOG';
  level: LogLevel;
  message: string;
}
export interface MetricsEvent extends EventBase {
  type: 'METRICS';
  step: number;
  metrics: { name: string; value: number }[];
}
/** A part of a sweep has ended. */
export interface PartEvent extends EventBase {
  type: 'PART';
  /** The run that is the part. */
  partId: string;
}
/** A cell of a swap sweep was measured. */
export interface CellEvent extends EventBase {
  type: 'CELL';
  /** The cell's place in the sweep. */
  position: number;
}
/** A checkpoint of a grokking run was measured, and so were all before it. */
export interface PointEvent extends EventBase {
  type: 'POINT';
  /** The step of training that the point is of. */
  step: number;
}
export type RunEventRow = StatusEvent | LogEvent | MetricsEvent | PartEvent | CellEvent | PointEvent;

/** What marks a run as written by the holder of `claim`. */
export function heldBy({ runId, attempt }: Claim) {
  return and(eq(runs.id, runId), eq(runs.attempt, attempt), eq(runs.status, 'RUNNING'));
}

/**
 * Stores metrics, one number a row. Values whose step and name are stored already are dropped: a resumed run
 * recomputes them, the same. Returns false, storing nothing, if the claim no longer holds.
 */
export async function appendMetrics(
  db: Executor,
  claim: Claim,
  rows: readonly MetricRow[],
): Promise<boolean> {
  const stored = await storeMetrics(db, claim, rows);
  // Not in the transaction that holds the run's row: readers of a long series find it on the ladder already.
  if (stored && Math.floor(stored.before / LADDER_EVERY) < Math.floor(stored.after / LADDER_EVERY)) {
    const names = new Set(rows.flatMap(({ values }) => Object.keys(values)));
    // Whoever reads makes up for what is missing.
    await extendLadder(
      db,
      claim.runId,
      [...names].filter((name) => !isOfConcept(name)),
    ).catch(() => undefined);
  }
  return stored !== null;
}

/** The numbers of the newest event before and after; null, storing nothing, if the claim no longer holds. */
async function storeMetrics(
  db: Executor,
  claim: Claim,
  rows: readonly MetricRow[],
): Promise<{ before: number; after: number } | null> {
  return db.transaction(async (tx) => {
    const before = await lockRun(tx, claim);
    if (before === null) return null;
    const points = rows.flatMap((row, i) =>
      Object.entries(row.values).map(([name, value]) => ({
        row: i,
        name,
        step: row.step,
        value,
        at: row.at,
      })),
    );
    const column = (key: keyof (typeof points)[number]) => sql.param(points.map((point) => point[key]));
    const ofConcepts = sql.param([...new Set(points.map(({ name }) => name).filter(isOfConcept))]);
    // The row lock is held, so what this statement sees is all there is.
    const { rows: numbered } = await tx.execute<{ after: string }>(sql`
      with given as (
        select distinct on (name, step) *
        from unnest(${column('row')}::int[], ${column('name')}::text[], ${column('step')}::int[],
          ${column('value')}::float8[], ${column('at')}::float8[]) as p ("row", name, step, value, at)
        order by name, step, "row"
      ), fresh as (
        select given.*, dense_rank() over (order by "row") as k
        from given
        -- As a scalar subquery it stays a look-up by key; "not exists" may become a join with all of the run.
        where (
          select true from ${metricPoints} m
          where m.run_id = ${claim.runId} and m.name = given.name and m.step = given.step
        ) is null
      ), numbered as (
        -- Further than any attempt before: what killed workers at an earlier place is behind it.
        update ${runs} r set last_seq = r.last_seq + (select max(k) from fresh), deaths = 0,
          last_metrics = r.last_metrics || (
            select coalesce(jsonb_object_agg(name, jsonb_build_array(step, case
              when value not in ('NaN', 'Infinity', '-Infinity') then value end)), '{}')
            from (select distinct on (name) name, step, value from fresh order by name, step desc) newest
            where name <> all(${ofConcepts}::text[])
          )
        where r.id = ${claim.runId} and exists (select from fresh)
        returning r.id, r.last_seq, pg_notify(${RUN_EVENTS_CHANNEL}, r.id || ':' || r.last_seq)
      ), stored as (
        insert into ${metricPoints} (run_id, name, step, value, at, seq)
        select n.id, f.name, f.step, f.value, to_timestamp(f.at / 1000),
          n.last_seq - (select max(k) from fresh) + f.k
        from fresh f, numbered n
      )
      select last_seq as after from numbered`);
    await storeLooks(tx, claim.runId, rows);
    return { before, after: Number(numbered[0]?.after ?? before) };
  });
}

/** A resumed run takes the same looks again. */
async function storeLooks(tx: Executor, runId: string, rows: readonly MetricRow[]): Promise<void> {
  const looks = rows.flatMap(({ step, at, binding }) =>
    binding ? [{ runId, step, at: new Date(at), counts: binding.flat() }] : [],
  );
  if (looks.length > 0) await tx.insert(bindingLooks).values(looks).onConflictDoNothing();
}

/** Stores log lines. Returns false, storing nothing, if the claim no longer holds. */
export async function appendLogs(
  db: Executor,
  claim: Claim,
  lines: readonly { level: LogLevel; message: string; at: number }[],
): Promise<boolean> {
  return db.transaction(async (tx) => {
    const lastSeq = await lockRun(tx, claim);
    if (lastSeq === null) return false;
    if (lines.length === 0) return true;
    await tx.insert(runEvents).values(
      lines.map(({ level, message, at }, i) => ({
        runId: claim.runId,
        seq: lastSeq + 1 + i,
        at: new Date(at),
        type: 'LOG' as const,
        // Postgres text cannot hold a zero byte.
        payload: { level, message: message.replaceAll('\0', '�') },
      })),
    );
    const seq = lastSeq + lines.length;
    await tx.update(runs).set({ lastSeq: seq }).where(eq(runs.id, claim.runId));
    await notify(tx, RUN_EVENTS_CHANNEL, `${claim.runId}:${seq}`);
    return true;
  });
}

/** Stores that these parts of a run have ended as its events from `seq` on; the caller then appends its status. */
export async function appendParts(
  tx: Executor,
  runId: string,
  seq: number,
  partIds: readonly string[],
): Promise<void> {
  if (partIds.length === 0) return;
  await tx.insert(runEvents).values(
    partIds.map((partId, i) => ({
      runId,
      seq: seq + i,
      at: sql`clock_timestamp()`,
      type: 'PART' as const,
      payload: { partId },
    })),
  );
}

/** Stores the status that `run` has now as event `run.lastSeq`; for use in the transaction that changed it. */
export async function appendStatus(tx: Executor, run: typeof runs.$inferSelect): Promise<void> {
  const { id, lastSeq, status, phase, progress, etaSeconds } = run;
  await tx.insert(runEvents).values({
    runId: id,
    seq: lastSeq,
    at: sql`clock_timestamp()`,
    type: 'STATUS',
    payload: { status, phase, progress, etaSeconds },
  });
  await notify(tx, RUN_EVENTS_CHANNEL, `${id}:${lastSeq}`);
}

/** At most `limit` events of a run after `afterSeq`, in order; the values of one logged step are one event. */
export async function readEvents(
  db: Executor,
  runId: string,
  afterSeq: number,
  limit: number,
): Promise<RunEventRow[]> {
  const { rows } = await db.execute<RawEvent>(sql`
    (select seq, at, type, payload, null::int as step, null::text[] as names, null::float8[] as values
      from ${runEvents} where run_id = ${runId} and seq > ${afterSeq} order by seq limit ${limit})
    union all
    (select seq, min(at), 'METRICS', null, min(step), array_agg(name order by name), array_agg(value order by name)
      from ${metricPoints} where run_id = ${runId} and seq > ${afterSeq}
      group by seq order by seq limit ${limit})
    order by seq limit ${limit}`);
  return rows.map((row) => toEvent(runId, row));
}

/** The newest `last` log lines of a run, oldest first. */
export async function readLog(db: Executor, runId: string, last: number): Promise<LogEvent[]> {
  const lines = await db
    .select()
    .from(runEvents)
    .where(and(eq(runEvents.runId, runId), eq(runEvents.type, 'LOG')))
    .orderBy(desc(runEvents.seq))
    .limit(last);
  return lines.reverse().map(({ seq, at, payload }) => ({
    ...{ runId, seq, at, type: 'LOG' as const },
    level: payload.level as LogLevel,
    message: payload.message as string,
  }));
}

/** Sends a notification when the transaction commits. */
export async function notify(tx: Executor, channel: string, payload: string): Promise<void> {
  await tx.execute(sql`select pg_notify(${channel}, ${payload})`);
}

/** Locks the run's row for the holder of `claim`; its newest event's number, or null if the claim is void. */
export async function lockRun(tx: Executor, claim: Claim): Promise<number | null> {
  const [run] = await tx
    .select({ lastSeq: runs.lastSeq })
    .from(runs)
    .where(heldBy(claim))
    .for('no key update');
  return run?.lastSeq ?? null;
}

interface RawEvent extends Record<string, unknown> {
  seq: string;
  at: Date | string;
  type: RunEventRow['type'];
  payload: Record<string, unknown> | null;
  step: number | null;
  names: string[] | null;
  values: number[] | null;
}

function toEvent(runId: string, row: RawEvent): RunEventRow {
  const base = { runId, seq: Number(row.seq), at: new Date(row.at) };
  if (row.type !== 'METRICS')
    return { ...base, type: row.type, ...row.payload } as Exclude<RunEventRow, MetricsEvent>;
  const metrics = row.names!.map((name, i) => ({ name, value: row.values![i]! }));
  return { ...base, type: 'METRICS', step: row.step!, metrics };
}
