/** What a dataset asks of one entity, as the engine takes it. */
import { and, asc, eq, notExists, or, sql } from 'drizzle-orm';
import { alias } from 'drizzle-orm/pg-core';
import type { Prompt } from '../../engine/contract/dataset.ts';
import type { Executor } from '../client.ts';
import { concepts, exampleConcepts, examples } from '../tables/index.ts';

/**
 * The prompts of one concept in the example's split about its entity and its own concept or another, in their order in
 * the dataset; nothing for an example of two concepts.
 */
export async function readPromptsBeside(
  db: Executor,
  {
    id,
    datasetId,
    entity,
    split,
  }: Pick<typeof examples.$inferSelect, 'id' | 'datasetId' | 'entity' | 'split'>,
  otherConceptId: string,
): Promise<Prompt[]> {
  const own = alias(exampleConcepts, 'own');
  const second = alias(exampleConcepts, 'second');
  const secondHop = db
    .select({ one: sql`1` })
    .from(second)
    .where(and(eq(second.exampleId, examples.id), eq(second.hop, 2)));
  const rows = await db
    .select({ example: examples, concept: concepts.position })
    .from(examples)
    .innerJoin(exampleConcepts, eq(exampleConcepts.exampleId, examples.id))
    .innerJoin(concepts, eq(concepts.id, exampleConcepts.conceptId))
    .innerJoin(own, and(eq(own.exampleId, id), eq(own.hop, 1)))
    .where(
      and(
        eq(examples.datasetId, datasetId),
        eq(examples.split, split),
        eq(examples.entity, entity),
        eq(examples.kind, 'QUESTION'),
        or(eq(exampleConcepts.conceptId, own.conceptId), eq(exampleConcepts.conceptId, otherConceptId)),
        notExists(secondHop),
      ),
    )
    .orderBy(asc(examples.position));
  return rows.map(({ example, concept }): Prompt => {
    const { id, prompt, answer, otherAnswers, template } = example;
    const asked = { id, prompt, answer, ...(otherAnswers && { otherAnswers }) };
    return { ...asked, entity, concepts: [concept], template, split };
  });
}
