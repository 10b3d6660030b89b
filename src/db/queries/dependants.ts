/** What rests on what among runs, SAEs, models, datasets, corpora and ontologies, and so goes when something is deleted. */
import { inArray, sql } from 'drizzle-orm';
import type { PgTable } from 'drizzle-orm/pg-core';
import type { Executor } from '../client.ts';
import { corpora, datasets, models, ontologies, runs, saes } from '../tables/index.ts';

/** Ids by what they are of. */
export interface Things {
  Run: string[];
  Sae: string[];
  Model: string[];
  Dataset: string[];
  Corpus: string[];
  Ontology: string[];
}
export type ThingType = keyof Things;

/** What cannot be without something else: each row names the type and id of what rests on the things given. */
const RESTS_ON = sql`
  select 'Dataset' as type, d.id from datasets d join given g on g.type = 'Ontology' and d.ontology_id = g.id
  union select 'Model', m.id from models m join given g on g.type = 'Dataset' and m.dataset_id = g.id
  union select 'Run', r.id from runs r join given g on g.type = 'Dataset' and r.dataset_id = g.id
  union select 'Run', r.id from runs r join given g on g.type = 'Model' and r.model_id = g.id
  union select 'Run', r.id from runs r join given g on g.type = 'Model' and r.initial_model_id = g.id
  union select 'Run', r.id from runs r join given g on g.type = 'Corpus' and r.corpus_id = g.id
  union select 'Run', r.id from runs r join given g on g.type = 'Run' and r.alignment_run_id = g.id
  union select 'Run', r.id from runs r join given g on g.type = 'Run' and r.baseline_run_id = g.id
  union select 'Run', r.id from runs r join given g on g.type = 'Run' and r.analysis_run_id = g.id
  -- A run of parts would no longer be what it says, without one of them.
  union select 'Run', r.parent_id from runs r join given g on g.type = 'Run' and r.id = g.id where r.parent_id is not null
  -- A model goes with the run that made it, and that run with its model.
  union select 'Model', r.model_id from runs r join given g on g.type = 'Run' and r.id = g.id
    where r.kind = 'MODEL' and r.model_id is not null
  union select 'Sae', s.id from saes s join given g on g.type = 'Model' and s.model_id = g.id
  union select 'Run', u.run_id from used_saes u join given g on g.type = 'Sae' and u.sae_id = g.id
  -- An SAE goes with the run that trained it, and that run with its SAE.
  union select 'Run', s.run_id from saes s join given g on g.type = 'Sae' and s.id = g.id where s.run_id is not null
  union select 'Run', c.run_id from model_checkpoints c join given g on g.type = 'Model' and c.model_id = g.id`;

/** What is part of the things given: the parts of runs, the models that runs kept along the way, and their SAEs. */
const PART_OF = sql`
  select 'Run' as type, r.id from runs r join given g on g.type = 'Run' and r.parent_id = g.id
  union select 'Model', c.model_id from model_checkpoints c join given g on g.type = 'Run' and c.run_id = g.id
  union select 'Sae', s.id from saes s join given g on g.type = 'Run' and s.run_id = g.id`;

/** The things themselves with all that is part of them, and with what rests on them, on that, and so on. */
export async function readDependants(db: Executor, given: Things): Promise<{ own: Things; all: Things }> {
  const own = await close(db, given, PART_OF);
  return { own, all: await close(db, own, sql`${PART_OF} union ${RESTS_ON}`) };
}

async function close(db: Executor, given: Things, rule: typeof PART_OF): Promise<Things> {
  let things = given;
  for (;;) {
    const pairs = Object.entries(things).flatMap(([type, ids]: [string, string[]]) =>
      ids.map((id) => ({ type, id })),
    );
    const { rows } = await db.execute<{ type: ThingType; id: string }>(sql`
      with given as (
        select * from unnest(${sql.param(pairs.map(({ type }) => type))}::text[],
          ${sql.param(pairs.map(({ id }) => id))}::uuid[]) as p (type, id)
      ) select * from (${rule}) found`);
    const next = { ...things };
    for (const type of Object.keys(things) as ThingType[])
      next[type] = [
        ...new Set([...things[type], ...rows.filter((row) => row.type === type).map(({ id }) => id)]),
      ].sort();
    if (countOf(next) === countOf(things)) return things;
    things = next;
  }
}

export function countOf(things: Things): number {
  return Object.values(things).reduce((sum, ids) => sum + ids.length, 0);
}

/**
 * Locks rows against new references until the transaction ends, top-down: whoever starts a run refers to what is
 * above it.
 */
export async function lockThings(tx: Executor, things: Things): Promise<void> {
  const tables: [PgTable & { id: typeof runs.id }, string[]][] = [
    [ontologies as never, things.Ontology],
    [datasets as never, things.Dataset],
    [corpora as never, things.Corpus],
    [models as never, things.Model],
    [saes as never, things.Sae],
    [runs, things.Run],
  ];
  for (const [table, ids] of tables)
    if (ids.length > 0)
      await tx
        .select({ id: table.id })
        .from(table as PgTable)
        .where(inArray(table.id, ids))
        .orderBy(table.id)
        .for('update');
}
