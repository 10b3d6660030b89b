/** What grokking runs measure, checkpoint by checkpoint. */
import { sql } from 'drizzle-orm';
import {
  bigint,
  check,
  doublePrecision,
  foreignKey,
  integer,
  jsonb,
  pgTable,
  primaryKey,
  real,
  smallint,
  uuid,
} from 'drizzle-orm/pg-core';
import { instant } from './columns.ts';
import { runId } from './run.ts';

/** What a grokking run measured of a checkpoint. */
export const grokkingPoints = pgTable(
  'grokking_points',
  {
    /** The GROKKING run. */
    runId: runId(),
    step: integer('step').notNull(),
    at: instant('at').notNull(),
    /** The event that told of it; null until all before it have been told of. */
    seq: bigint('seq', { mode: 'number' }),
    trainQuestions: integer('train_questions').notNull(),
    trainCorrect: integer('train_correct').notNull(),
    heldOutQuestions: integer('held_out_questions').notNull(),
    heldOutCorrect: integer('held_out_correct').notNull(),
    /** Null where the dataset states no single facts. */
    oneHopQuestions: integer('one_hop_questions'),
    oneHopCorrect: integer('one_hop_correct'),
    /** Of the answers of TRAIN questions, nats a token. */
    loss: doublePrecision('loss').notNull(),
    weightNorm: doublePrecision('weight_norm').notNull(),
    logitMargin: doublePrecision('logit_margin').notNull(),
  },
  (t) => [
    primaryKey({ columns: [t.runId, t.step] }),
    check('grokking_points_train', sql`${t.trainCorrect} between 0 and ${t.trainQuestions}`),
    check('grokking_points_held_out', sql`${t.heldOutCorrect} between 0 and ${t.heldOutQuestions}`),
    check('grokking_points_one_hop', sql`${t.oneHopCorrect} between 0 and ${t.oneHopQuestions}`),
  ],
);

const binding = () => ({
  step: integer('step').notNull(),
  hop: smallint('hop').notNull(),
  top1: doublePrecision('top1').notNull(),
  top3: doublePrecision('top3').notNull(),
  top5: doublePrecision('top5').notNull(),
  diagonalStrength: doublePrecision('diagonal_strength').notNull(),
  matrix: jsonb('matrix').$type<number[][]>().notNull(),
  /** By how much held-out accuracy falls when the hop's slots are set to 0. */
  ablationEffect: doublePrecision('ablation_effect').notNull(),
});

/** How the slots of one hop bind at a checkpoint. */
export const grokkingBindings = pgTable(
  'grokking_bindings',
  {
    runId: uuid('run_id').notNull(),
    ...binding(),
    /** The slots' decoder columns, one behind the other. */
    directions: real('directions').array().notNull(),
  },
  (t) => [
    primaryKey({ columns: [t.runId, t.step, t.hop] }),
    foreignKey({
      name: 'grokking_bindings_point',
      columns: [t.runId, t.step],
      foreignColumns: [grokkingPoints.runId, grokkingPoints.step],
    }).onDelete('cascade'),
    check('grokking_bindings_hop', sql`${t.hop} in (1, 2)`),
  ],
);

/**
 * How the slots of the last checkpoint's SAEs bind at each of the others. They are measured all at once, at a time when
 * the points of others may not be there yet.
 */
export const grokkingLastBindings = pgTable(
  'grokking_last_bindings',
  {
    /** The GROKKING run. */
    runId: runId(),
    ...binding(),
  },
  (t) => [
    primaryKey({ columns: [t.runId, t.step, t.hop] }),
    check('grokking_last_bindings_hop', sql`${t.hop} in (1, 2)`),
  ],
);
