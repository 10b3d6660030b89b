/** Datasets: their facts, and the prompts and texts about them. */
import { sql } from 'drizzle-orm';
import {
  boolean,
  check,
  index,
  integer,
  jsonb,
  pgTable,
  primaryKey,
  smallint,
  text,
  unique,
  uuid,
} from 'drizzle-orm/pg-core';
import { SPLITS, type Split } from '../../engine/contract/dataset.ts';
import { createdAt, id, labels, oneOf } from './columns.ts';
import { concepts, ontologies } from './ontology.ts';

export const DATASET_KINDS = ['BIOGRAPHY', 'TWO_HOP', 'WORLD', 'PROMPTS'] as const;

export const EXAMPLE_KINDS = ['QUESTION', 'TEXT'] as const;

export type DatasetKind = (typeof DATASET_KINDS)[number];

export type ExampleKind = (typeof EXAMPLE_KINDS)[number];

export const datasets = pgTable(
  'datasets',
  {
    id: id(),
    ontologyId: uuid('ontology_id')
      .notNull()
      .references(() => ontologies.id),
    name: text('name').notNull(),
    kind: text('kind').$type<DatasetKind>().notNull(),
    /** How it was made: generator settings and seed, or the import's format and source. */
    settings: jsonb('settings').$type<Record<string, unknown>>().notNull(),
    /** What stands before every prompt; null where nothing does. */
    prefix: text('prefix'),
    /** What ends an answer besides the model's end token; null where nothing else does. */
    answerEnd: text('answer_end'),
    /** Whether its prompts are messages of a chat. */
    chat: boolean('chat').notNull().default(false),
    /** Whether answers must agree in letter case too. */
    letterCase: boolean('letter_case').notNull().default(false),
    /** SHA-256 over facts and examples, so that a run can say exactly what it was trained on. */
    contentHash: text('content_hash').notNull(),
    createdAt: createdAt(),
    ...labels(),
  },
  (t) => [
    index('datasets_ontology').on(t.ontologyId, t.createdAt, t.id),
    index('datasets_created').on(t.createdAt, t.id),
    check('datasets_kind', oneOf(t.kind, DATASET_KINDS)),
  ],
);

export const facts = pgTable(
  'facts',
  {
    id: id(),
    datasetId: uuid('dataset_id')
      .notNull()
      .references(() => datasets.id, { onDelete: 'cascade' }),
    position: integer('position').notNull(),
    entity: text('entity').notNull(),
    conceptId: uuid('concept_id')
      .notNull()
      .references(() => concepts.id),
    value: text('value').notNull(),
  },
  (t) => [
    unique('facts_dataset_position').on(t.datasetId, t.position),
    index('facts_dataset_entity').on(t.datasetId, t.entity, t.conceptId),
    index('facts_concept').on(t.conceptId),
  ],
);

export const examples = pgTable(
  'examples',
  {
    id: id(),
    datasetId: uuid('dataset_id')
      .notNull()
      .references(() => datasets.id, { onDelete: 'cascade' }),
    position: integer('position').notNull(),
    kind: text('kind').$type<ExampleKind>().notNull(),
    split: text('split').$type<Split>().notNull(),
    /** The question, or the whole text. */
    prompt: text('prompt').notNull(),
    /** Null for texts, and for prompts that only say what they are about. */
    answer: text('answer'),
    /** What counts as well; null where there is none. */
    otherAnswers: jsonb('other_answers').$type<readonly string[]>(),
    entity: text('entity').notNull(),
    template: text('template').notNull().default(''),
    /** Of the file that a prompt was read from, for messages about it; null where there is none. */
    line: integer('line'),
  },
  (t) => [
    unique('examples_dataset_position').on(t.datasetId, t.position),
    index('examples_dataset_split').on(t.datasetId, t.split, t.position),
    check('examples_kind', oneOf(t.kind, EXAMPLE_KINDS)),
    check('examples_split', oneOf(t.split, SPLITS)),
    check('examples_answer', sql`${t.kind} = 'QUESTION' or ${t.answer} is null`),
  ],
);

export const exampleConcepts = pgTable(
  'example_concepts',
  {
    exampleId: uuid('example_id')
      .notNull()
      .references(() => examples.id, { onDelete: 'cascade' }),
    /** 1 for one-hop questions; 1 and 2 for two-hop questions. */
    hop: smallint('hop').notNull(),
    conceptId: uuid('concept_id')
      .notNull()
      .references(() => concepts.id),
  },
  (t) => [
    primaryKey({ columns: [t.exampleId, t.hop] }),
    index('example_concepts_concept').on(t.conceptId),
    check('example_concepts_hop', sql`${t.hop} in (1, 2)`),
  ],
);
