/** What is measured of an SAE. */
import { sql } from 'drizzle-orm';
import {
  boolean,
  check,
  doublePrecision,
  index,
  integer,
  jsonb,
  pgTable,
  primaryKey,
  text,
  unique,
  uuid,
} from 'drizzle-orm/pg-core';
import type {
  Faithfulness,
  Replacement,
  SlotKnock,
  SlotReport,
  SplitMeasures,
  SwapMeasure,
} from '../../engine/contract/alignment.ts';
import { KNOCK_EDITS } from '../../engine/contract/alignment.ts';
import { SPLITS, type Split } from '../../engine/contract/dataset.ts';
import { id, oneOf } from './columns.ts';
import { concepts } from './ontology.ts';
import { runId } from './run.ts';

/** What stands in an activation's place when faithfulness is measured. */
const REPLACEMENTS: readonly Replacement[] = ['CLEAN', 'RECONSTRUCTION', 'MEAN', 'ZERO'];

/** Binding and reconstruction of an alignment run on one split. */
export const splitMeasures = pgTable(
  'split_measures',
  {
    runId: runId(),
    split: text('split').$type<Split>().notNull(),
    examples: integer('examples').notNull(),
    accuracy: doublePrecision('accuracy').notNull(),
    top3: doublePrecision('top3').notNull(),
    top5: doublePrecision('top5').notNull(),
    diagonalAccuracy: doublePrecision('diagonal_accuracy').notNull(),
    diagonalStrength: doublePrecision('diagonal_strength').notNull(),
    matrix: jsonb('matrix').$type<number[][]>().notNull(),
    conceptAccuracy: jsonb('concept_accuracy').$type<number[]>().notNull(),
    valueAccuracy: doublePrecision('value_accuracy'),
    /** These four are null also of runs from before they were measured. */
    conceptValueAccuracy: jsonb('concept_value_accuracy').$type<number[]>(),
    slotMargin: doublePrecision('slot_margin'),
    concentration: jsonb('concentration').$type<SplitMeasures['concentration']>(),
    slotConcentration: jsonb('slot_concentration').$type<SplitMeasures['concentration']>(),
    fvu: doublePrecision('fvu').notNull(),
    l0: doublePrecision('l0').notNull(),
    deadLatents: doublePrecision('dead_latents').notNull(),
  },
  (t) => [
    primaryKey({ columns: [t.runId, t.split] }),
    check('split_measures_split', oneOf(t.split, SPLITS)),
    check('split_measures_accuracy', sql`${t.accuracy} between 0 and 1`),
  ],
);

export const slots = pgTable(
  'slots',
  {
    id: id(),
    runId: runId(),
    conceptId: uuid('concept_id')
      .notNull()
      .references(() => concepts.id),
    /** Latent index in the SAE, `nFree + concept position`. */
    index: integer('index').notNull(),
    topExamples: jsonb('top_examples').$type<SlotReport['topExamples']>().notNull(),
    topTokens: jsonb('top_tokens').$type<SlotReport['topTokens']>().notNull(),
  },
  (t) => [
    unique('slots_run_index').on(t.runId, t.index),
    unique('slots_run_concept').on(t.runId, t.conceptId),
    index('slots_concept').on(t.conceptId, t.id),
  ],
);

/** Swap success of an alignment run at one alpha on one population. */
export const swapMeasures = pgTable(
  'swap_measures',
  {
    runId: runId(),
    control: text('control').$type<SwapMeasure['control']>().notNull(),
    population: text('population').$type<SwapMeasure['population']>().notNull(),
    split: text('split').$type<Split>().notNull(),
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
    /** True where alpha is the one chosen on validation. */
    chosen: boolean('chosen').notNull(),
  },
  (t) => [
    primaryKey({ columns: [t.runId, t.control, t.population, t.split, t.alpha] }),
    check('swap_measures_counts', sql`${t.successes} between 0 and ${t.trials}`),
    check('swap_measures_loose', sql`${t.looseSuccesses} between ${t.successes} and ${t.trials}`),
    check('swap_measures_category', sql`${t.categoryKept} between 0 and ${t.trials} - ${t.successes}`),
    check(
      'swap_measures_known',
      sql`${t.knownTrials} between 0 and ${t.trials} and ${t.knownSuccesses} between 0 and least(${t.knownTrials}, ${t.successes})`,
    ),
  ],
);

/** What the slot of a concept, set to 0 or to 1 by itself, does to answers. */
export const slotKnocks = pgTable(
  'slot_knocks',
  {
    runId: runId(),
    conceptId: uuid('concept_id')
      .notNull()
      .references(() => concepts.id),
    edit: text('edit').$type<SlotKnock['edit']>().notNull(),
    split: text('split').$type<Split>().notNull(),
    prompts: integer('prompts').notNull(),
    /** Change of the log-odds of the answer that is asked for, over so many. */
    askedAnswers: integer('asked_answers').notNull(),
    askedChange: doublePrecision('asked_change'),
    /** By concept index, where something else is asked. */
    others: jsonb('others').$type<SlotKnock['others']>().notNull(),
  },
  (t) => [
    primaryKey({ columns: [t.runId, t.conceptId, t.edit] }),
    index('slot_knocks_concept').on(t.conceptId),
    check('slot_knocks_edit', oneOf(t.edit, KNOCK_EDITS)),
    check('slot_knocks_split', oneOf(t.split, SPLITS)),
  ],
);

/** The latent that tells a concept best: its slot, or the best single latent of an unsupervised SAE. */
export const conceptLatents = pgTable(
  'concept_latents',
  {
    runId: runId(),
    conceptId: uuid('concept_id')
      .notNull()
      .references(() => concepts.id),
    /** Latent index in the SAE. */
    latent: integer('latent').notNull(),
    /** On TRAIN, where the latent is chosen. */
    separability: doublePrecision('separability').notNull(),
    /** On TEST_OOD; null where it is empty. */
    heldOutSeparability: doublePrecision('held_out_separability'),
    /** Mean activation over the concept's TRAIN prompts on which it fires. */
    meanActivation: doublePrecision('mean_activation').notNull(),
    /** Latents that it takes to reach 95% of what all latents together reach. */
    fragmentation: integer('fragmentation').notNull(),
  },
  (t) => [primaryKey({ columns: [t.runId, t.conceptId] }), index('concept_latents_concept').on(t.conceptId)],
);

/** Answers of the language model with the activation replaced, on one split. */
export const faithfulness = pgTable(
  'faithfulness',
  {
    runId: runId(),
    split: text('split').$type<Split>().notNull(),
    replacement: text('replacement').$type<Replacement>().notNull(),
    prompts: integer('prompts').notNull(),
    /** Prompts whose whole greedy answer is right. */
    correct: integer('correct').notNull(),
    /** The same by concept; null of runs from before they were told apart. */
    concepts: jsonb('concepts').$type<Faithfulness['concepts']>(),
    /** Of the answer's tokens, in nats a token. */
    crossEntropy: doublePrecision('cross_entropy').notNull(),
  },
  (t) => [
    primaryKey({ columns: [t.runId, t.split, t.replacement] }),
    check('faithfulness_split', oneOf(t.split, SPLITS)),
    check('faithfulness_replacement', oneOf(t.replacement, REPLACEMENTS)),
    check('faithfulness_counts', sql`${t.correct} between 0 and ${t.prompts}`),
  ],
);
