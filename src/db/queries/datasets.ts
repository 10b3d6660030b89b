/** Facts and examples in bulk, as generators and importers write them. */
import { sql } from 'drizzle-orm';
import type { Executor } from '../client.ts';
import { exampleConcepts, examples, facts } from '../tables/index.ts';

export type FactRow = typeof facts.$inferInsert & { id: string };
export type ExampleRow = typeof examples.$inferInsert & { id: string };
export type ExampleConceptRow = typeof exampleConcepts.$inferInsert;

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
  // Postgres would flatten an array of arrays.
  const others = rows.map(({ otherAnswers }) => ({
    json: otherAnswers ? JSON.stringify(otherAnswers) : null,
  }));
  await db.execute(sql`
    insert into ${examples}
      (id, dataset_id, position, kind, split, prompt, answer, entity, template, line, other_answers)
    select id, dataset_id, position, kind, split, prompt, answer, entity, template, line, others::jsonb from unnest(
      ${column(rows, 'id', 'uuid')}, ${column(rows, 'datasetId', 'uuid')}, ${column(rows, 'position', 'integer')},
      ${column(rows, 'kind', 'text')}, ${column(rows, 'split', 'text')}, ${column(rows, 'prompt', 'text')},
      ${column(rows, 'answer', 'text')}, ${column(rows, 'entity', 'text')}, ${column(rows, 'template', 'text')},
      ${column(rows, 'line', 'integer')}, ${column(others, 'json', 'text')})
      as row (id, dataset_id, position, kind, split, prompt, answer, entity, template, line, others)`);
  await db.execute(sql`
    insert into ${exampleConcepts} (example_id, hop, concept_id)
    select * from unnest(
      ${column(links, 'exampleId', 'uuid')}, ${column(links, 'hop', 'smallint')},
      ${column(links, 'conceptId', 'uuid')})`);
}
