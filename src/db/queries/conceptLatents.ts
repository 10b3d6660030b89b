/** The latents that stand for concepts in an SAE. */
import { asc, eq, inArray } from 'drizzle-orm';
import type { Executor } from '../client.ts';
import { conceptLatents, concepts } from '../tables/index.ts';
import { groupRows } from './byIds.ts';

export type ConceptLatent = typeof conceptLatents.$inferSelect;

/** For each run the latent of each concept, in the order of the ontology. */
export async function conceptLatentsOfRuns(
  db: Executor,
  runIds: readonly string[],
): Promise<ConceptLatent[][]> {
  const rows = await db
    .select({ latent: conceptLatents })
    .from(conceptLatents)
    .innerJoin(concepts, eq(concepts.id, conceptLatents.conceptId))
    .where(inArray(conceptLatents.runId, [...runIds]))
    .orderBy(asc(concepts.position));
  const groups = groupRows(
    rows.map(({ latent }) => latent),
    'runId',
  );
  return runIds.map((id) => groups.get(id) ?? []);
}
