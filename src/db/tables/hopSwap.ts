/** SAEs and swaps of two-hop questions. */
import { sql } from 'drizzle-orm';
import {
  check,
  doublePrecision,
  index,
  integer,
  jsonb,
  pgTable,
  primaryKey,
  smallint,
  text,
  unique,
} from 'drizzle-orm/pg-core';
import { HOP_EDITS, type HopSwapMeasure } from '../../engine/contract/hopSwap.ts';
import { artifacts } from './artifact.ts';
import { oneOf } from './columns.ts';
import { runId } from './run.ts';

/** SAEs of two-hop runs, hop by hop; one that is shared is there at both. */
export const hopSaes = pgTable(
  'hop_saes',
  {
    /** The CHECKPOINT_ANALYSIS or HOP_SWAP run that trained it. */
    runId: runId(),
    hop: smallint('hop').notNull(),
    artifactHash: text('artifact_hash')
      .notNull()
      .references(() => artifacts.hash),
  },
  (t) => [
    primaryKey({ columns: [t.runId, t.hop] }),
    index('hop_saes_artifact').on(t.artifactHash),
    check('hop_saes_hop', sql`${t.hop} in (1, 2)`),
  ],
);

/** Swaps at one hop of two-hop questions by one method of one edit, at the alpha that did best on TRAIN questions. */
export const hopSwaps = pgTable(
  'hop_swaps',
  {
    runId: runId(),
    /** Place in the run's order of work. */
    position: integer('position').notNull(),
    hop: smallint('hop').notNull(),
    edited: text('edited').$type<HopSwapMeasure['edited']>().notNull(),
    method: text('method').$type<HopSwapMeasure['method']>().notNull(),
    alpha: doublePrecision('alpha').notNull(),
    /** Swaps on held-out questions to pairs that counterfactuals may have led to, and to those withheld from them. */
    shownTrials: integer('shown_trials').notNull(),
    shownSuccesses: integer('shown_successes').notNull(),
    withheldTrials: integer('withheld_trials').notNull(),
    withheldSuccesses: integer('withheld_successes').notNull(),
    /** Armed swaps on held-out questions about other relations, and how many left the answer as it was. */
    otherQuestions: integer('other_questions').notNull(),
    otherQuestionsKept: integer('other_questions_kept').notNull(),
    /** Success by relation, as source and as target; null of runs from before it was told apart. */
    relations: jsonb('relations').$type<HopSwapMeasure['relations']>(),
    /** On TRAIN questions, alpha by alpha. */
    choosing: jsonb('choosing').$type<HopSwapMeasure['choosing']>().notNull(),
  },
  (t) => [
    primaryKey({ columns: [t.runId, t.position] }),
    unique('hop_swaps_what').on(t.runId, t.hop, t.edited, t.method),
    check('hop_swaps_hop', sql`${t.hop} in (1, 2)`),
    check('hop_swaps_edited', oneOf(t.edited, HOP_EDITS)),
    check('hop_swaps_shown', sql`${t.shownSuccesses} between 0 and ${t.shownTrials}`),
    check('hop_swaps_withheld', sql`${t.withheldSuccesses} between 0 and ${t.withheldTrials}`),
    check('hop_swaps_other', sql`${t.otherQuestionsKept} between 0 and ${t.otherQuestions}`),
  ],
);
