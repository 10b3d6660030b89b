/** A whole dataset as the engine takes it. */
import { asc, eq } from 'drizzle-orm';
import type { Concept, EngineDataset, Prompt, Prompted, Text } from '../../engine/contract/dataset.ts';
import { notFound } from '../../errors.ts';
import type { Executor } from '../client.ts';
import { concepts, datasets, exampleConcepts, examples, facts } from '../tables/index.ts';

/**
 * Reads a dataset with the concepts of its ontology, everything by position, so that equal rows make equal runs.
 * @throws AppError NOT_FOUND
 */
export async function loadEngineDataset(db: Executor, datasetId: string): Promise<EngineDataset> {
  const [dataset] = await db.select().from(datasets).where(eq(datasets.id, datasetId));
  if (!dataset) throw notFound('Dataset', datasetId);
  const ontology = await db
    .select()
    .from(concepts)
    .where(eq(concepts.ontologyId, dataset.ontologyId))
    .orderBy(asc(concepts.position));
  const indexOf = new Map(ontology.map(({ id }, index) => [id, index]));
  return {
    concepts: ontology.map(({ key, label }): Concept => ({ key, label })),
    facts: await loadFacts(db, datasetId, indexOf),
    ...(await loadExamples(db, datasetId, indexOf)),
    ...promptedOf(dataset),
  };
}

/** How a dataset's prompts are put to a model. */
export async function readPrompted(db: Executor, datasetId: string): Promise<Prompted> {
  const [dataset] = await db.select().from(datasets).where(eq(datasets.id, datasetId));
  return dataset ? promptedOf(dataset) : {};
}

function promptedOf({
  prefix,
  answerEnd,
  chat,
  letterCase,
}: Pick<typeof datasets.$inferSelect, 'prefix' | 'answerEnd' | 'chat' | 'letterCase'>): Prompted {
  return {
    ...(prefix !== null && { prefix }),
    ...(answerEnd !== null && { answerEnd }),
    ...(chat && { chat }),
    ...(letterCase && { letterCase }),
  };
}

async function loadFacts(db: Executor, datasetId: string, indexOf: ReadonlyMap<string, number>) {
  const rows = await db
    .select()
    .from(facts)
    .where(eq(facts.datasetId, datasetId))
    .orderBy(asc(facts.position));
  return rows.map(({ entity, conceptId, value }) => ({ entity, concept: indexOf.get(conceptId)!, value }));
}

async function loadExamples(db: Executor, datasetId: string, indexOf: ReadonlyMap<string, number>) {
  const hops = await db
    .select({ exampleId: exampleConcepts.exampleId, conceptId: exampleConcepts.conceptId })
    .from(exampleConcepts)
    .innerJoin(examples, eq(examples.id, exampleConcepts.exampleId))
    .where(eq(examples.datasetId, datasetId))
    .orderBy(asc(exampleConcepts.hop));
  const conceptsOf = new Map<string, number[]>();
  for (const { exampleId, conceptId } of hops)
    conceptsOf.set(exampleId, [...(conceptsOf.get(exampleId) ?? []), indexOf.get(conceptId)!]);
  const rows = await db
    .select()
    .from(examples)
    .where(eq(examples.datasetId, datasetId))
    .orderBy(asc(examples.position));
  const prompts: Prompt[] = [];
  const texts: Text[] = [];
  for (const { id, kind, split, prompt, answer, otherAnswers, entity, template, line } of rows) {
    if (kind === 'TEXT') texts.push({ id, text: prompt, entity, split });
    else
      prompts.push({
        id,
        prompt,
        answer,
        ...(otherAnswers && { otherAnswers }),
        entity,
        concepts: conceptsOf.get(id) ?? [],
        template,
        split,
        ...(line !== null && { line }),
      });
  }
  return { prompts, texts };
}
