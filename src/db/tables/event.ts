/** What a run tells while it works. */
import { sql } from 'drizzle-orm';
import {
  bigint,
  check,
  doublePrecision,
  index,
  integer,
  jsonb,
  pgTable,
  primaryKey,
  smallint,
  text,
} from 'drizzle-orm/pg-core';
import { instant, oneOf } from './columns.ts';
import { runId } from './run.ts';

const EVENT_TYPES = ['STATUS', 'LOG', 'PART', 'CELL', 'POINT'] as const;

/** Status changes, log lines, finished parts, cells of sweeps and points of grokking runs; metric rows carry their own `seq` from the same counter. */
export const runEvents = pgTable(
  'run_events',
  {
    runId: runId(),
    seq: bigint('seq', { mode: 'number' }).notNull(),
    at: instant('at').notNull(),
    type: text('type').$type<(typeof EVENT_TYPES)[number]>().notNull(),
    payload: jsonb('payload').$type<Record<string, unknown>>().notNull(),
  },
  (t) => [primaryKey({ columns: [t.runId, t.seq] }), check('run_events_type', oneOf(t.type, EVENT_TYPES))],
);

/** One value of one metric; all values of one logged step share one `seq`. */
export const metricPoints = pgTable(
  'metric_points',
  {
    runId: runId(),
    name: text('name').notNull(),
    step: integer('step').notNull(),
    value: doublePrecision('value').notNull(),
    at: instant('at').notNull(),
    seq: bigint('seq', { mode: 'number' }).notNull(),
  },
  (t) => [
    primaryKey({ columns: [t.runId, t.name, t.step] }),
    index('metric_points_seq').on(t.runId, t.seq),
    check('metric_points_step', sql`${t.step} >= 0`),
  ],
);

/** How the slots of an alignment bound at a look that training took at its validation prompts. */
export const bindingLooks = pgTable(
  'binding_looks',
  {
    runId: runId(),
    step: integer('step').notNull(),
    at: instant('at').notNull(),
    /** By concept, on how many of its prompts which slot is strongest: `[concept][slot]`, row by row. */
    counts: integer('counts').array().notNull(),
  },
  (t) => [primaryKey({ columns: [t.runId, t.step] })],
);

/**
 * The ladder over a series' points, for curves of long series: bucket `k` of level 1 stands for its points
 * 16k … 16k + 15 in the order of steps, one of the next level for eight of the level below. Only whole buckets are
 * there; `db/queries/metricLadder.ts` makes them of the points.
 */
export const metricBuckets = pgTable(
  'metric_buckets',
  {
    runId: runId(),
    name: text('name').notNull(),
    level: smallint('level').notNull(),
    k: integer('k').notNull(),
    /** Step of the last point that it stands for. */
    lastStep: integer('last_step').notNull(),
    /** Where the lowest value is; NaN is above all others. */
    lowStep: integer('low_step').notNull(),
    lowValue: doublePrecision('low_value').notNull(),
    lowAt: instant('low_at').notNull(),
    /** Where the highest is; NaN only if there is nothing else. */
    highStep: integer('high_step').notNull(),
    highValue: doublePrecision('high_value').notNull(),
    highAt: instant('high_at').notNull(),
  },
  (t) => [
    primaryKey({ columns: [t.runId, t.name, t.level, t.k] }),
    check('metric_buckets_place', sql`${t.level} >= 1 and ${t.k} >= 0`),
  ],
);
