/** How much room things take: files in the artifact store, and rows where they are what a thing consists of. */
import { sql } from 'drizzle-orm';
import type { Executor } from '../client.ts';
import type { Things } from './dependants.ts';

export interface UsedFile {
  hash: string;
  bytes: number;
}

/** The files that runs (not their parts), SAEs, models and corpora refer to, each once. */
export async function readFiles(
  db: Executor,
  { Run, Sae, Model, Corpus }: Pick<Things, 'Run' | 'Sae' | 'Model' | 'Corpus'>,
): Promise<UsedFile[]> {
  const { rows } = await db.execute<{ hash: string; bytes: string }>(sql`
    select a.hash, a.bytes from artifacts a where a.hash in (
      select artifact_hash from runs where id = any(${sql.param(Run)}::uuid[])
      union select artifact_hash from hop_saes where run_id = any(${sql.param(Run)}::uuid[])
      union select artifact_hash from checkpoints where run_id = any(${sql.param(Run)}::uuid[])
      union select artifact_hash from saes where id = any(${sql.param(Sae)}::uuid[])
      union select artifact_hash from corpora where id = any(${sql.param(Corpus)}::uuid[])
      union select artifact_hash from models where id = any(${sql.param(Model)}::uuid[]))`);
  return rows.map(({ hash, bytes }) => ({ hash, bytes: Number(bytes) }));
}

/** For each run the bytes of its files, those of its parts and of the models kept along the way included. */
export async function storageOfRuns(db: Executor, ids: readonly string[]): Promise<number[]> {
  return sumFor(
    db,
    ids,
    sql`
    with own as (
      select id as root, id from runs where id = any(${sql.param(ids)}::uuid[])
      union select parent_id, id from runs where parent_id = any(${sql.param(ids)}::uuid[])
    ), files as (
      select root, artifact_hash as hash from own join runs using (id) where artifact_hash is not null
      union select root, artifact_hash from own join hop_saes h on h.run_id = own.id
      union select root, artifact_hash from own join checkpoints c on c.run_id = own.id
      union select root, m.artifact_hash from own join model_checkpoints k on k.run_id = own.id
        join models m on m.id = k.model_id
    ) select root as id, sum(bytes) as bytes from files join artifacts using (hash) group by root`,
  );
}

/** For each model the bytes of its weights. */
export const storageOfModels = fileSizes('models');

/** For each SAE the bytes of its file. */
export const storageOfSaes = fileSizes('saes');

/** For each corpus the bytes of its file. */
export const storageOfCorpora = fileSizes('corpora');

/** Of things that have one file each. */
function fileSizes(table: 'models' | 'saes' | 'corpora') {
  return (db: Executor, ids: readonly string[]): Promise<number[]> =>
    sumFor(
      db,
      ids,
      sql`select t.id, a.bytes from ${sql.identifier(table)} t join artifacts a on a.hash = t.artifact_hash
        where t.id = any(${sql.param(ids)}::uuid[])`,
    );
}

/** For each dataset the bytes of its facts and examples as Postgres keeps them, without indexes. */
export async function storageOfDatasets(db: Executor, ids: readonly string[]): Promise<number[]> {
  return sumFor(
    db,
    ids,
    sql`select id, sum(bytes) as bytes from (
      select dataset_id as id, sum(pg_column_size(f.*)) as bytes from facts f
        where dataset_id = any(${sql.param(ids)}::uuid[]) group by dataset_id
      union all select dataset_id, sum(pg_column_size(e.*)) from examples e
        where dataset_id = any(${sql.param(ids)}::uuid[]) group by dataset_id
    ) rows group by id`,
  );
}

/** For each ontology the bytes of its concepts, likewise. */
export async function storageOfOntologies(db: Executor, ids: readonly string[]): Promise<number[]> {
  return sumFor(
    db,
    ids,
    sql`select ontology_id as id, sum(pg_column_size(c.*)) as bytes from concepts c
      where ontology_id = any(${sql.param(ids)}::uuid[]) group by ontology_id`,
  );
}

async function sumFor(
  db: Executor,
  ids: readonly string[],
  query: ReturnType<typeof sql>,
): Promise<number[]> {
  const { rows } = await db.execute<{ id: string; bytes: string }>(query);
  const found = new Map(rows.map(({ id, bytes }) => [id, Number(bytes)]));
  return ids.map((id) => found.get(id) ?? 0);
}
