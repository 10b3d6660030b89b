/** What work on a finished alignment begins with: the run, its concepts, and a prompt of its dataset. */
import { asc, eq, inArray } from 'drizzle-orm';
import type { Executor } from '../db/client.ts';
import { groupRows, readByIds } from '../db/queries/byIds.ts';
import { type Run, readRun } from '../db/queries/runs.ts';
import { concepts, datasets, examples } from '../db/tables/index.ts';
import type { ModelRef } from '../engine/contract/model.ts';
import { invalidInput, notFound } from '../errors.ts';
import { loadModelRef } from '../jobs/load.ts';
import type { Example } from './dataset.ts';
import type { EngineWork } from './engine.ts';
import type { Concept } from './ontology.ts';

const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

/**
 * @param what What needs it, such as `a swap`.
 * @throws AppError NOT_FOUND; INVALID_INPUT at `runId` for any other run.
 */
export async function readAlignment(db: Executor, id: string, what: string): Promise<Run> {
  const run = await readRun(db, id);
  if (!run) throw notFound('Run', id);
  if (run.kind === 'ALIGNMENT' && run.status === 'SUCCEEDED') return run;
  throw invalidInput(
    ['runId'],
    `${what} needs an alignment run that has SUCCEEDED; this is a run of kind ${run.kind} in status ${run.status}`,
  );
}

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

/** The run's concepts. */
export async function readConcepts(db: Executor, run: Pick<Run, 'datasetId'>): Promise<Concept[]> {
  return (await conceptsOfDatasets(db, [run.datasetId]))[0]!;
}

/** The concept with this key or id. @throws AppError INVALID_INPUT at `path`, naming those that there are. */
export function findConcept(ontology: readonly Concept[], keyOrId: string, path: readonly string[]): Concept {
  const concept = ontology.find(({ id, key }) => (UUID.test(keyOrId) ? id === keyOrId : key === keyOrId));
  if (concept) return concept;
  const keys = ontology.map(({ key }) => key).join(', ');
  throw invalidInput(path, `"${keyOrId}" is not a concept of the run's ontology; its concepts are ${keys}`);
}

/** @throws AppError NOT_FOUND; INVALID_INPUT at `exampleId` when it is of another dataset than the run's. */
export async function readExample(db: Executor, run: Run, exampleId: string): Promise<Example> {
  const [example] = await readByIds(db, examples, examples.id, [exampleId]);
  if (!example) throw notFound('Example', exampleId);
  if (example.datasetId === run.datasetId) return example;
  throw invalidInput(['exampleId'], "the example belongs to another dataset than the run's");
}

/** The files of a finished run's model and SAE, as the engine takes them. @throws AppError UNAVAILABLE without them. */
export async function loadPair(
  { db, store }: Pick<EngineWork, 'db' | 'store'>,
  run: Run,
): Promise<{ model: ModelRef; sae: string }> {
  return {
    model: await loadModelRef(db, store, run.modelId!),
    sae: await store.path(run.artifactHash!, `the SAE of run ${run.id}`),
  };
}

/** The alpha that the run chose on validation; null where it could not. */
export function chosenAlphaOf(run: Run): number | null {
  return (run.result as { chosenAlpha?: number | null } | null)?.chosenAlpha ?? null;
}
