/** One-off swaps. */
import { boolean, check, doublePrecision, index, jsonb, pgTable, text, uuid } from 'drizzle-orm/pg-core';
import { type SwapMethod, type SwapPlacement, swapPlacement } from '../../engine/contract/swap.ts';
import { createdAt, id, oneOf } from './columns.ts';
import { examples } from './dataset.ts';
import { concepts } from './ontology.ts';
import { runId } from './run.ts';

/** One concept swap on one prompt, as `swapConcept` returned it. */
export const interventions = pgTable(
  'interventions',
  {
    id: id(),
    runId: runId(),
    exampleId: uuid('example_id').references(() => examples.id, { onDelete: 'set null' }),
    method: text('method').$type<SwapMethod>().notNull(),
    alpha: doublePrecision('alpha').notNull(),
    placement: text('placement').$type<SwapPlacement>().notNull().default('LAST_TOKEN'),
    /** Alpha at the tokens of the answer; null where they were not edited. */
    alphaLater: doublePrecision('alpha_later'),
    sourceConceptId: uuid('source_concept_id')
      .notNull()
      .references(() => concepts.id),
    targetConceptId: uuid('target_concept_id')
      .notNull()
      .references(() => concepts.id),
    prompt: text('prompt').notNull(),
    /** The entity's fact for the target concept; null when the dataset has none. */
    expectedAnswer: text('expected_answer'),
    /** Null when there is nothing to compare with. */
    success: boolean('success'),
    /** Whether the model answers the prompt and that of the target right unedited; null where that cannot be told. */
    known: boolean('known'),
    baseline: jsonb('baseline').$type<Continuation>().notNull(),
    result: jsonb('result').$type<Continuation>().notNull(),
    slots: jsonb('slots')
      .$type<{ index: number; concept: number; before: number; after: number }[]>()
      .notNull(),
    createdAt: createdAt(),
  },
  (t) => [
    check('interventions_placement', oneOf(t.placement, swapPlacement.options)),
    index('interventions_run').on(t.runId, t.createdAt, t.id),
    index('interventions_run_success').on(t.runId, t.success, t.createdAt, t.id),
    index('interventions_created').on(t.createdAt, t.id),
    index('interventions_example').on(t.exampleId),
    index('interventions_source').on(t.sourceConceptId),
    index('interventions_target').on(t.targetConceptId),
  ],
);

interface Continuation {
  text: string;
  tokens: { text: string; probability: number }[];
}
