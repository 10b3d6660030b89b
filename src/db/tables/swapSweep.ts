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
import { SWEEP_EDITS, type SweepCell, type SweepPair } from '../../engine/contract/swapSweep.ts';
import { oneOf } from './columns.ts';
import { runId } from './run.ts';

/** Cells of older versions lack the later counts. */
type StoredPair = Pick<SweepPair, 'source' | 'target' | 'trials' | 'successes'> & Partial<SweepPair>;

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
    /** Successes by the looser match, and failures whose answer is a value of the target concept; null of older ones. */
    looseSuccesses: integer('loose_successes'),
    categoryKept: integer('category_kept'),
    /** Of these, the swaps of which the model answers both prompts right unedited; null where nobody had asked yet. */
    knownTrials: integer('known_trials'),
    knownSuccesses: integer('known_successes'),
    /** Swaps that were not tried because the model does not know them. */
    leftOut: integer('left_out').notNull().default(0),
    /** Armed swaps on prompts about other concepts, and how many left the answer as it was; likewise for texts. */
    otherPrompts: integer('other_prompts').notNull(),
    otherPromptsKept: integer('other_prompts_kept').notNull(),
    texts: integer('texts').notNull(),
    textsKept: integer('texts_kept').notNull(),
    /** Texts that state the source's own fact. */
    statements: integer('statements').notNull(),
    statementsKept: integer('statements_kept').notNull(),
    /** Source and target by concept index. */
    pairs: jsonb('pairs').$type<StoredPair[]>().notNull(),
  },
  (t) => [
    primaryKey({ columns: [t.runId, t.position] }),
    unique('sweep_cells_what').on(t.runId, t.edited, t.method, t.alpha),
    check('sweep_cells_edited', oneOf(t.edited, SWEEP_EDITS)),
    check('sweep_cells_successes', sql`${t.successes} between 0 and ${t.trials}`),
    check('sweep_cells_loose', sql`${t.looseSuccesses} between ${t.successes} and ${t.trials}`),
    check('sweep_cells_category', sql`${t.categoryKept} between 0 and ${t.trials} - ${t.successes}`),
    check(
      'sweep_cells_known',
      sql`${t.knownTrials} between 0 and ${t.trials} and ${t.knownSuccesses} between 0 and least(${t.knownTrials}, ${t.successes})`,
    ),
    check('sweep_cells_other_prompts', sql`${t.otherPromptsKept} between 0 and ${t.otherPrompts}`),
    check('sweep_cells_texts', sql`${t.textsKept} between 0 and ${t.texts}`),
    check('sweep_cells_statements', sql`${t.statementsKept} between 0 and ${t.statements}`),
  ],
);
