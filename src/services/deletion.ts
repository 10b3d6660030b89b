/** Deleting what nobody needs any more, with what rests on it if that is asked for; its files go at once. */
import { and, inArray, sql } from 'drizzle-orm';
import type { ArtifactStore } from '../db/artifactStore.ts';
import type { Db, Executor } from '../db/client.ts';
import { collectArtifact } from '../db/queries/artifacts.ts';
import {
  countOf,
  lockThings,
  readDependants,
  type Things,
  type ThingType,
} from '../db/queries/dependants.ts';
import { UNFINISHED } from '../db/queries/runChange.ts';
import { readFiles, storageOfDatasets, storageOfOntologies, type UsedFile } from '../db/queries/storage.ts';
import { corpora, datasets, models, ontologies, runs, saes } from '../db/tables/index.ts';
import { AppError, type Dependant, notFound } from '../errors.ts';

export {
  storageOfCorpora,
  storageOfDatasets,
  storageOfModels,
  storageOfOntologies,
  storageOfRuns,
  storageOfSaes,
} from '../db/queries/storage.ts';

/** Dependants that a message names; the error has all. */
const NAMED = 5;

export interface Deletion {
  /** What was deleted, with all that went with it. */
  deleted: Dependant[];
  /** Of files that nothing else uses, and of the rows of datasets and ontologies. */
  freedBytes: number;
}

/**
 * Deletes a thing, and with `cascade` what rests on it.
 * @throws AppError NOT_FOUND; CONFLICT with the dependants where something rests on it, or naming the run that is
 * queued or running.
 */
export function deleteThing(
  work: { db: Db; store: ArtifactStore },
  type: ThingType,
  id: string,
  cascade: boolean,
): Promise<Deletion> {
  return deleteUnless(work, type, id, async (_tx, dependants) => {
    if (dependants.length > 0 && !cascade) throw inUse(type, dependants);
  });
}

/**
 * Deletes a thing and what rests on it, unless `refuse` throws; it is asked behind all locks.
 * @throws AppError NOT_FOUND; CONFLICT naming the run that is queued or running; what `refuse` throws.
 */
export async function deleteUnless(
  { db, store }: { db: Db; store: ArtifactStore },
  type: ThingType,
  id: string,
  refuse: (tx: Executor, dependants: Dependant[]) => Promise<void>,
): Promise<Deletion> {
  const { deleted, files, rowBytes } = await db.transaction(async (tx) => {
    // One at a time: two that overlap would wait for each other.
    await tx.execute(sql`select pg_advisory_xact_lock(hashtextextended('deletion', 0))`);
    const { own, all } = await lockAll(tx, {
      Run: [],
      Sae: [],
      Model: [],
      Dataset: [],
      Corpus: [],
      Ontology: [],
      [type]: [id],
    });
    const described = await describe(tx, all);
    if (!described.some((thing) => thing.id === id)) throw notFound(type, id);
    const dependants = described.filter((thing) => !own[thing.type].includes(thing.id));
    await refuse(tx, dependants);
    await refuseUnfinished(tx, all.Run);
    const files = await readFiles(tx, all);
    const rowBytes =
      sum(await storageOfDatasets(tx, all.Dataset)) + sum(await storageOfOntologies(tx, all.Ontology));
    await deleteRows(tx, all);
    return { deleted: described, files, rowBytes };
  });
  return { deleted, freedBytes: rowBytes + (await collect(db, store, files)) };
}

/** What rests on it is read behind the locks, for until then something new may have come to rest on it. */
async function lockAll(tx: Executor, given: Things): Promise<{ own: Things; all: Things }> {
  for (let locked = 0; ; ) {
    const found = await readDependants(tx, given);
    if (countOf(found.all) === locked) return found;
    await lockThings(tx, found.all);
    locked = countOf(found.all);
  }
}

async function describe(
  tx: Executor,
  { Run, Sae, Model, Dataset, Corpus, Ontology }: Things,
): Promise<Dependant[]> {
  const named = async (type: Exclude<ThingType, 'Run'>, table: typeof models, ids: string[]) =>
    (await tx.select({ id: table.id, name: table.name }).from(table).where(inArray(table.id, ids))).map(
      (row): Dependant => ({ ...row, type }),
    );
  const ofRuns = await tx
    .select({ id: runs.id, name: runs.name, kind: runs.kind })
    .from(runs)
    .where(inArray(runs.id, Run))
    .orderBy(runs.createdAt, runs.id);
  return [
    ...(await named('Ontology', ontologies as never, Ontology)),
    ...(await named('Dataset', datasets as never, Dataset)),
    ...(await named('Corpus', corpora as never, Corpus)),
    ...(await named('Model', models, Model)),
    ...(await named('Sae', saes as never, Sae)),
    ...ofRuns.map((run): Dependant => ({ ...run, type: 'Run' })),
  ];
}

const nounOf = (type: ThingType) => (type === 'Sae' ? 'SAE' : type.toLowerCase());

function inUse(type: ThingType, dependants: Dependant[]): AppError {
  const shown = dependants.slice(0, NAMED).map(wordOf);
  const more = dependants.length > NAMED ? ` and ${dependants.length - NAMED} more` : '';
  return new AppError(
    'CONFLICT',
    `this ${nounOf(type)} is needed by ${shown.join(', ')}${more}; delete them first, or pass cascade: true to delete them with it`,
    { dependants },
  );
}

function wordOf({ type, id, name, kind }: Dependant): string {
  return `${kind ? `the ${kind} run` : `the ${nounOf(type)}`} ${name ? `"${name}"` : id}`;
}

async function refuseUnfinished(tx: Executor, ids: readonly string[]): Promise<void> {
  const unfinished = await tx
    .select({ id: runs.id, name: runs.name, kind: runs.kind, status: runs.status })
    .from(runs)
    .where(and(inArray(runs.id, [...ids]), UNFINISHED))
    .orderBy(runs.createdAt, runs.id);
  const [first] = unfinished;
  if (!first) return;
  const dependants = unfinished.map(({ id, name, kind }): Dependant => ({ type: 'Run', id, name, kind }));
  throw new AppError(
    'CONFLICT',
    `${wordOf(dependants[0]!)} is ${first.status}${unfinished.length > 1 ? `, and ${unfinished.length - 1} more have not ended` : ''}; wait for its end, or cancel it first`,
    { dependants },
  );
}

/** Their events, measures, facts and the like go by foreign keys. */
async function deleteRows(
  tx: Executor,
  { Run, Sae, Model, Dataset, Corpus, Ontology }: Things,
): Promise<void> {
  await tx.delete(saes).where(inArray(saes.id, Sae));
  await tx.delete(runs).where(inArray(runs.id, Run));
  await tx.delete(corpora).where(inArray(corpora.id, Corpus));
  await tx.delete(models).where(inArray(models.id, Model));
  await tx.delete(datasets).where(inArray(datasets.id, Dataset));
  await tx.delete(ontologies).where(inArray(ontologies.id, Ontology));
}

/** A file that could not be deleted now is left to the next sweep. */
async function collect(db: Db, store: ArtifactStore, files: readonly UsedFile[]): Promise<number> {
  let freed = 0;
  for (const { hash, bytes } of files) if (await collectArtifact(db, store, hash)) freed += bytes;
  return freed;
}

const sum = (numbers: readonly number[]) => numbers.reduce((total, n) => total + n, 0);
