/** Runs that have ended and that nothing else rests on: what may go by itself. */
import { type SQL, sql } from 'drizzle-orm';
import type { Executor } from '../client.ts';
import type { RunStatus } from '../tables/index.ts';

/** A thing with this tag is kept, and so is the run that it came of. */
export const KEEP_TAG = 'keep';

/** Runs that ended so, before then. */
export interface Ended {
  statuses: readonly RunStatus[];
  before: Date;
}

/**
 * `family`: the runs that stand alone and ended so, with their parts; `made_models`, `made_saes`: what they made;
 * `collectable`: those of which nobody else has anything to lose, oldest first.
 */
const collectable = ({ statuses, before }: Ended, only: SQL = sql`true`) => sql`
  family as (
    select r.id as root, r.id from runs r where r.parent_id is null and r.finished_at < ${before.toISOString()}
      and r.status = any(${sql.param([...statuses])}::text[]) and ${only}
    union all select p.parent_id, p.id from runs p join runs r on r.id = p.parent_id
      where r.parent_id is null and r.finished_at < ${before.toISOString()}
        and r.status = any(${sql.param([...statuses])}::text[]) and ${only}
  ), made_models as (
    select f.root, r.model_id as id from family f join runs r on r.id = f.id
      where r.kind = 'MODEL' and r.model_id is not null
    union select f.root, k.model_id from family f join model_checkpoints k on k.run_id = f.id
  ), made_saes as (
    select f.root, s.id from family f join saes s on s.run_id = f.id
  ), users as (
    select f.root, x.id, x.parent_id from family f join runs x
      on x.alignment_run_id = f.id or x.baseline_run_id = f.id or x.analysis_run_id = f.id
    union all select m.root, x.id, x.parent_id from made_models m join runs x
      on x.model_id = m.id or x.initial_model_id = m.id
    union all select m.root, x.id, x.parent_id from made_models m join saes s on s.model_id = m.id
      left join runs x on x.id = s.run_id
    union all select s.root, x.id, x.parent_id from made_saes s join used_saes u on u.sae_id = s.id
      join runs x on x.id = u.run_id
  ), kept as (
    select root from users where id is null or coalesce(parent_id, id) <> root
    union select f.root from family f join runs r on r.id = f.id
      where r.finished_at is null or ${KEEP_TAG} = any(r.tags)
    union select m.root from made_models m join models x on x.id = m.id where ${KEEP_TAG} = any(x.tags)
    union select s.root from made_saes s join saes x on x.id = s.id where ${KEEP_TAG} = any(x.tags)
  ), collectable as (
    select r.id, r.finished_at from runs r
      where r.id in (select root from family) and r.id not in (select root from kept)
  )`;

/** The ids of at most `limit` of them, those that ended first before others. */
export async function listCollectable(db: Executor, ended: Ended, limit: number): Promise<string[]> {
  const { rows } = await db.execute<{ id: string }>(
    sql`with ${collectable(ended)} select id from collectable order by finished_at, id limit ${limit}`,
  );
  return rows.map(({ id }) => id);
}

/** Whether this one still is one of them. */
export async function isCollectable(tx: Executor, ended: Ended, id: string): Promise<boolean> {
  const { rows } = await tx.execute(
    sql`with ${collectable(ended, sql`r.id = ${id}::uuid`)} select from collectable`,
  );
  return rows.length > 0;
}

export interface Amount {
  items: number;
  bytes: number;
}

/** How many there are, and the bytes of their files, each file once. */
export async function measureCollectable(db: Executor, ended: Ended): Promise<Amount> {
  const { rows } = await db.execute<{ items: string; bytes: string }>(sql`
    with ${collectable(ended)}, mine as (select f.id from family f join collectable c on c.id = f.root)
    select (select count(*) from collectable) as items, coalesce((
      select sum(bytes) from artifacts where hash in (
        select artifact_hash from runs where id in (select id from mine)
        union select artifact_hash from hop_saes where run_id in (select id from mine)
        union select artifact_hash from saes where run_id in (select id from mine)
        union select m.artifact_hash from models m join made_models k on k.id = m.id
          join collectable c on c.id = k.root
      )), 0) as bytes`);
  return { items: Number(rows[0]!.items), bytes: Number(rows[0]!.bytes) };
}
