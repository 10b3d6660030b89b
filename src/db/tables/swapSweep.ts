/** Cells of swap sweeps. */
import { sql } from 'drizzle-orm';
import {
  check,
  doublePrecision,
  integer,
  jsonb,
  pgTable,
  primaryKey,
  text,
  unique,
} from 'drizzle-orm/pg-core';
import { SWEEP_EDITS, type SweepCell } from '../../engine/contract/swapSweep.ts';
import { oneOf } from './columns.ts';
import { runId } from './run.ts';

/** One method at one alpha in a swap sweep, for the slots or for a control. */
export const sweepCells = pgTable(
  'sweep_cells',
  {
    runId: runId(),
    /** Place in the sweep's order of work. */
    position: integer('position').notNull(),
    edited: text('edited').$type<SweepCell['edited']>().notNull(),
    method: text('method').$type<SweepCell['method']>().notNull(),
    alpha: doublePrecision('alpha').notNull(),
    trials: integer('trials').notNull(),
    successes: integer('successes').notNull(),
    /** Armed swaps on prompts about other concepts, and how many left the answer as it was; likewise for texts. */
    otherPrompts: integer('other_prompts').notNull(),
    otherPromptsKept: integer('other_prompts_kept').notNull(),
    texts: integer('texts').notNull(),
    textsKept: integer('texts_kept').notNull(),
    /** Texts that state the source's own fact. */
    statements: integer('statements').notNull(),
    statementsKept: integer('statements_kept').notNull(),
    /** Source and target by concept index. */
    pairs: jsonb('pairs').$type<SweepCell['pairs']>().notNull(),
  },
  (t) => [
    primaryKey({ columns: [t.runId, t.position] }),
    unique('sweep_cells_what').on(t.runId, t.edited, t.method, t.alpha),
    check('sweep_cells_edited', oneOf(t.edited, SWEEP_EDITS)),
    check('sweep_cells_successes', sql`${t.successes} between 0 and ${t.trials}`),
    check('sweep_cells_other_prompts', sql`${t.otherPromptsKept} between 0 and ${t.otherPrompts}`),
    check('sweep_cells_texts', sql`${t.textsKept} between 0 and ${t.texts}`),
    check('sweep_cells_statements', sql`${t.statementsKept} between 0 and ${t.statements}`),
  ],
);
