/** The concepts that a run is about. */
import { asc, eq, inArray } from 'drizzle-orm';
import type { Executor } from '../db/client.ts';
import { groupRows } from '../db/queries/byIds.ts';
import { concepts, datasets } from '../db/tables/index.ts';
import { invalidInput } from '../errors.ts';

export type Concept = typeof concepts.$inferSelect;

const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

/** For each dataset the concepts of its ontology; a concept's index is the engine's number for it. */
export async function conceptsOfDatasets(db: Executor, datasetIds: readonly string[]): Promise<Concept[][]> {
  const rows = await db
    .select({ datasetId: datasets.id, concept: concepts })
    .from(concepts)
    .innerJoin(datasets, eq(datasets.ontologyId, concepts.ontologyId))
    .where(inArray(datasets.id, [...datasetIds]))
    .orderBy(asc(concepts.position));
  const groups = groupRows(rows, 'datasetId');
  return datasetIds.map((id) => (groups.get(id) ?? []).map(({ concept }) => concept));
}

/** The concepts of a run, or of what else is on a dataset. */
export async function readConcepts(db: Executor, run: { datasetId: string }): Promise<Concept[]> {
  return (await conceptsOfDatasets(db, [run.datasetId]))[0]!;
}

/** The concept with this key or id. @throws AppError INVALID_INPUT at `path`, naming those that there are. */
export function findConcept(ontology: readonly Concept[], keyOrId: string, path: readonly string[]): Concept {
  const concept = ontology.find(({ id, key }) => (UUID.test(keyOrId) ? id === keyOrId : key === keyOrId));
  if (concept) return concept;
  const keys = ontology.map(({ key }) => key).join(', ');
  throw invalidInput(path, `"${keyOrId}" is not a concept of the run's ontology; its concepts are ${keys}`);
}
