/** Results of runs as rows: what is taken out as a file, and what `compareRuns` compares, come from one place. */
import { getTableColumns, type SQL, sql } from 'drizzle-orm';
import type { PgColumn, PgTable } from 'drizzle-orm/pg-core';
import { metricPoints } from '../db/tables/index.ts';
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

const ofType = (type: ColumnType) => (names: string) =>
  Object.fromEntries(names.split(' ').map((name): [string, Column] => [name, { type }]));
/** Columns of one type, by their names with a blank between. */
export const texts = ofType('text');
export const numbers = ofType('number');
export const booleans = ofType('boolean');
export const times = ofType('time');
export const json = ofType('json');

/** A share with its 95% Wilson interval, out of a count of successes (or what makes it) and one of trials. */
export function rate(
  name: string,
  successes: string | ((row: Row) => number),
  trials: string | ((row: Row) => number),
): Record<string, Column> {
  const count = typeof successes === 'string' ? (row: Row) => Number(row[successes]) : successes;
  const of = typeof trials === 'string' ? (row: Row) => Number(row[trials]) : trials;
  const interval = (row: Row) => wilsonInterval(count(row), of(row));
  const value = (row: Row) => (of(row) === 0 ? null : count(row) / of(row));
  return {
    [name]: { type: 'number', from: value },
    [`${name}Low`]: { type: 'number', from: (row) => interval(row)?.low ?? null },
    [`${name}High`]: { type: 'number', from: (row) => interval(row)?.high ?? null },
  };
}

/** Counts of a measured success, and the share that they are. */
export const successRate = {
  ...numbers('trials successes'),
  ...rate('successRate', 'successes', 'trials'),
};

/** Success by the looser match, and failures that answer with a value of the target; no share where it was not counted. */
export const looseRate = {
  ...numbers('looseSuccesses'),
  ...rate('looseSuccessRate', 'looseSuccesses', (row) =>
    row.looseSuccesses === null ? 0 : Number(row.trials),
  ),
  ...numbers('categoryKept'),
  ...rate('categoryKeptRate', 'categoryKept', (row) =>
    row.categoryKept === null ? 0 : Number(row.trials) - Number(row.successes),
  ),
};

/** Success over the swaps that the model knows, and the number of those left out. */
export const knownRate = {
  ...numbers('knownTrials knownSuccesses'),
  ...rate('knownSuccessRate', 'knownSuccesses', 'knownTrials'),
  ...numbers('leftOut'),
};

/** Those of a table's columns that have these names here. */
export function pick(table: PgTable, names: readonly string[]): SQL {
  const own = Object.entries(getTableColumns(table)).filter(([name]) => names.includes(name));
  return sql.join(
    own.map(([name, column]) => sql`${column} as ${sql.identifier(name)}`),
    sql`, `,
  );
}

/**
 * Columns that are stored as they are shown, in the rows of one table; `also` are columns that others are made of,
 * and `where` leaves rows out.
 */
export function storedIn(
  table: PgTable & { runId: PgColumn },
  columns: ResultTable['columns'],
  { also = [], where = sql`true` }: { also?: readonly string[]; where?: SQL } = {},
): Pick<ResultTable, 'columns' | 'rows'> {
  const picked = pick(table, ['runId', ...Object.keys(columns), ...also]);
  return {
    columns,
    rows: (runIds) => sql`select ${picked} from ${table} where ${table.runId} in ${runIds} and ${where}`,
  };
}

/** Concepts of the runs' ontologies, whose positions are the engine's numbers. */
export const conceptsOf = (runIds: SQL) => sql`(
  select r.id as run_id, c.key, c.position from runs r join datasets d on d.id = r.dataset_id
  join concepts c on c.ontology_id = d.ontology_id where r.id in ${runIds})`;

/** What every run has. */
export const HISTORY: ResultTables = {
  metrics: {
    description: 'What was measured step by step while it ran, whole.',
    key: ['seq', 'name'],
    ...storedIn(metricPoints, {
      ...numbers('seq'),
      ...times('at'),
      ...numbers('step'),
      ...texts('name'),
      ...numbers('value'),
    }),
  },
  events: {
    description:
      'Changes of its status, log lines, parts that ended, cells and checkpoints that were measured.',
    columns: {
      ...numbers('seq'),
      ...times('at'),
      ...texts('type status phase'),
      ...numbers('progress etaSeconds'),
      ...texts('level message'),
      part: { type: 'run id' },
      ...numbers('cell checkpoint'),
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
