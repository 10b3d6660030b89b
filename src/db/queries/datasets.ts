/** Facts and examples in bulk: written in batches, read whole for the engine. */
import { asc, eq, sql } from 'drizzle-orm';
import type { EngineDataset } from '../../engine/dataset.ts';
import { notFound } from '../../errors.ts';
import type { Executor } from '../client.ts';
import { concepts, datasets, type ExampleKind, exampleConcepts, examples, facts } from '../tables.ts';

type FactRow = typeof facts.$inferInsert & { id: string };
type ExampleRow = typeof examples.$inferInsert & { id: string; kind: ExampleKind };
type ExampleConceptRow = typeof exampleConcepts.$inferInsert;

/** One array a column: a few parameters however many rows, where `values` would take one for each cell. */
function column<Row>(rows: readonly Row[], key: keyof Row, type: 'uuid' | 'integer' | 'smallint' | 'text') {
  return sql`${sql.param(rows.map((row) => row[key]))}::${sql.raw(type)}[]`;
}

/** Inserts facts, thousands at a time. */
export async function insertFacts(db: Executor, rows: readonly FactRow[]): Promise<void> {
  await db.execute(sql`
    insert into ${facts} (id, dataset_id, position, entity, concept_id, value)
    select * from unnest(
      ${column(rows, 'id', 'uuid')}, ${column(rows, 'datasetId', 'uuid')}, ${column(rows, 'position', 'integer')},
      ${column(rows, 'entity', 'text')}, ${column(rows, 'conceptId', 'uuid')}, ${column(rows, 'value', 'text')})`);
}

/** Inserts examples and the concepts they are about, thousands at a time. */
export async function insertExamples(
  db: Executor,
  rows: readonly ExampleRow[],
  links: readonly ExampleConceptRow[],
): Promise<void> {
  await db.execute(sql`
    insert into ${examples} (id, dataset_id, position, kind, split, prompt, answer, entity, template)
    select * from unnest(
      ${column(rows, 'id', 'uuid')}, ${column(rows, 'datasetId', 'uuid')}, ${column(rows, 'position', 'integer')},
      ${column(rows, 'kind', 'text')}, ${column(rows, 'split', 'text')}, ${column(rows, 'prompt', 'text')},
      ${column(rows, 'answer', 'text')}, ${column(rows, 'entity', 'text')}, ${column(rows, 'template', 'text')})`);
  await db.execute(sql`
    insert into ${exampleConcepts} (example_id, hop, concept_id)
    select * from unnest(
      ${column(links, 'exampleId', 'uuid')}, ${column(links, 'hop', 'smallint')},
      ${column(links, 'conceptId', 'uuid')})`);
}

/**
 * A dataset as the engine takes it, in stored order; prompt and text ids are the examples' ids.
 * @throws AppError NOT_FOUND
 */
export async function loadEngineDataset(db: Executor, datasetId: string): Promise<EngineDataset> {
  const [dataset] = await db
    .select({ ontologyId: datasets.ontologyId })
    .from(datasets)
    .where(eq(datasets.id, datasetId));
  if (!dataset) throw notFound('Dataset', datasetId);
  const conceptRows = await db
    .select({ id: concepts.id, key: concepts.key, label: concepts.label })
    .from(concepts)
    .where(eq(concepts.ontologyId, dataset.ontologyId))
    .orderBy(asc(concepts.position));
  const index = new Map(conceptRows.map(({ id }, i) => [id, i]));
  const factRows = await db
    .select({ entity: facts.entity, conceptId: facts.conceptId, value: facts.value })
    .from(facts)
    .where(eq(facts.datasetId, datasetId))
    .orderBy(asc(facts.position));
  const exampleRows = await readExamples(db, datasetId);
  return {
    concepts: conceptRows.map(({ key, label }) => ({ key, label })),
    facts: factRows.map(({ conceptId, ...rest }) => ({ ...rest, concept: index.get(conceptId)! })),
    prompts: exampleRows.flatMap(({ kind, prompt, answer, conceptIds, ...rest }) => {
      const hops = (conceptIds ?? []).map((id) => index.get(id)!);
      return kind === 'QUESTION' ? [{ ...rest, prompt, answer: answer!, concepts: hops }] : [];
    }),
    texts: exampleRows.flatMap(({ id, kind, prompt, entity, split }) =>
      kind === 'TEXT' ? [{ id, text: prompt, entity, split }] : [],
    ),
  };
}

/** All examples of a dataset with the ids of their concepts in hop order. */
function readExamples(db: Executor, datasetId: string) {
  const links = db
    .select({
      exampleId: exampleConcepts.exampleId,
      ids: sql<string[]>`array_agg(${exampleConcepts.conceptId} order by ${exampleConcepts.hop})`.as('ids'),
    })
    .from(exampleConcepts)
    .innerJoin(examples, eq(examples.id, exampleConcepts.exampleId))
    .where(eq(examples.datasetId, datasetId))
    .groupBy(exampleConcepts.exampleId)
    .as('links');
  return db
    .select({
      id: examples.id,
      kind: examples.kind,
      prompt: examples.prompt,
      answer: examples.answer,
      entity: examples.entity,
      template: examples.template,
      split: examples.split,
      conceptIds: sql<string[] | null>`${links.ids}`,
    })
    .from(examples)
    .leftJoin(links, eq(links.exampleId, examples.id))
    .where(eq(examples.datasetId, datasetId))
    .orderBy(asc(examples.position));
}
