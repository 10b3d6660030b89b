/** Results of runs as rows: what is taken out as a file, and what `compareRuns` compares, come from one place. */
import { type SQL, sql } from 'drizzle-orm';
import { wilsonInterval } from '../stats.ts';
import type { Measure } from './measure.ts';

/** How a value is shown; `id <Type>` is the global id of a row's uuid, `run id` that of a
 * run whose kind the row has as `<name>Kind`, `json` is nested. */
export type ColumnType = 'text' | 'number' | 'boolean' | 'time' | 'json' | 'run id' | `id ${string}`;

type Row = Record<string, unknown>;

export interface Column {
  type: ColumnType;
  /** Made of the row as Postgres gave it; the value of the same name if left out. */
  from?: (row: Row) => unknown;
}

export interface ResultTable {
  description: string;
  columns: Readonly<Record<string, Column>>;
  /** Names of what orders the rows of a run, unique together; pages go on behind the last values. */
  key: readonly string[];
  /** The rows of these runs, a list in brackets; may give more than the columns, such as `runId` for `measures`. */
  rows(runIds: SQL): SQL;
  /** What a row says of its run. A table without measures is not compared. */
  measures?(row: Row): Measure[];
}

/** By the name in their address. */
export type ResultTables = Readonly<Record<string, ResultTable>>;

export const text: Column = { type: 'text' };
export const number: Column = { type: 'number' };
export const boolean: Column = { type: 'boolean' };
export const time: Column = { type: 'time' };
export const json: Column = { type: 'json' };

/** A share with its 95% Wilson interval, out of a count of successes (or the share itself) and one of trials. */
export function rate(name: string, successes: (row: Row) => unknown, trials: string): Record<string, Column> {
  const interval = (row: Row) => wilsonInterval(Number(successes(row)), Number(row[trials]));
  const value = (row: Row) =>
    Number(row[trials]) === 0 ? null : Number(successes(row)) / Number(row[trials]);
  return {
    [name]: { type: 'number', from: value },
    [`${name}Low`]: { type: 'number', from: (row) => interval(row)?.low ?? null },
    [`${name}High`]: { type: 'number', from: (row) => interval(row)?.high ?? null },
  };
}

/** `successes` of `trials`. */
export const successRate = rate('successRate', ({ successes }) => successes, 'trials');

/** Concepts of the runs' ontologies, whose positions are the engine's numbers. */
export const conceptsOf = (runIds: SQL) => sql`(
  select r.id as run_id, c.key, c.position from runs r join datasets d on d.id = r.dataset_id
  join concepts c on c.ontology_id = d.ontology_id where r.id in ${runIds})`;

/** What every run has. */
export const HISTORY: ResultTables = {
  metrics: {
    description: 'What was measured step by step while it ran, whole.',
    columns: { seq: number, at: time, step: number, name: text, value: number },
    key: ['seq', 'name'],
    rows: (runIds) => sql`select seq, at, step, name, value from metric_points where run_id in ${runIds}`,
  },
  events: {
    description:
      'Changes of its status, log lines, parts that ended, cells and checkpoints that were measured.',
    columns: {
      seq: number,
      at: time,
      type: text,
      status: text,
      phase: text,
      progress: number,
      etaSeconds: number,
      level: text,
      message: text,
      part: { type: 'run id' },
      cell: number,
      checkpoint: number,
    },
    key: ['seq'],
    rows: (runIds) => sql`
      select seq, at, type, payload ->> 'status' as status, payload ->> 'phase' as phase,
        payload -> 'progress' as progress, payload -> 'etaSeconds' as "etaSeconds", payload ->> 'level' as level,
        payload ->> 'message' as message, payload ->> 'partId' as part,
        (select kind from runs p where p.id = (payload ->> 'partId')::uuid) as "partKind",
        payload -> 'position' as cell, payload -> 'step' as checkpoint
      from run_events where run_id in ${runIds}`,
  },
};
