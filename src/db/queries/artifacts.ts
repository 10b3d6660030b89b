/**
 * Which files of the artifact store are in use. Whoever stores or deletes a file holds an advisory lock on its
 * hash until its transaction ends, so that a file that is being stored again is not deleted by a run that has
 * just stopped using it (two runs with the same settings write the same bytes).
 */
import { eq, inArray, sql } from 'drizzle-orm';
import type { ArtifactStore, NewFile } from '../artifactStore.ts';
import type { Executor } from '../client.ts';
import { artifacts } from '../tables/index.ts';

/** Young files may belong to a transaction that has not ended yet, on whichever machine. */
export const SWEEP_AGE_MS = 60 * 60 * 1000;
const SWEEP_BATCH = 1000;

/**
 * Takes a file into the store and makes its row. Call it in the transaction that also stores what refers to it;
 * if that rolls back, the file is an orphan for the next sweep. Returns its hash.
 */
export async function storeArtifact(
  tx: Executor,
  store: ArtifactStore,
  file: NewFile,
  kind: 'MODEL' | 'SAE' | 'CHECKPOINT' | 'CORPUS',
): Promise<string> {
  await lockHash(tx, file.sha256);
  await keepAwake(tx, store.put(file));
  await tx
    .insert(artifacts)
    .values({ hash: file.sha256, bytes: file.bytes, kind })
    .onConflictDoUpdate({ target: artifacts.hash, set: { createdAt: sql`now()` } });
  return file.sha256;
}

/** A large file takes its time on the way to a store elsewhere, longer than Postgres lets a transaction do nothing. */
const AWAKE_MS = 60_000;

async function keepAwake(tx: Executor, work: Promise<void>): Promise<void> {
  const ticking = setInterval(() => void tx.execute(sql`select 1`).catch(() => undefined), AWAKE_MS);
  await work.finally(() => clearInterval(ticking));
}

/** Deletes the row and the file, unless something refers to it. */
export async function collectArtifact(db: Executor, store: ArtifactStore, hash: string): Promise<boolean> {
  return db.transaction(async (tx) => {
    await lockHash(tx, hash);
    await tx.delete(artifacts).where(sql`${artifacts.hash} = ${hash} and ${UNUSED}`);
    const [kept] = await tx.select({ hash: artifacts.hash }).from(artifacts).where(eq(artifacts.hash, hash));
    if (kept) return false;
    await store.delete(hash);
    return true;
  });
}

/**
 * Deletes what nothing refers to and has not been touched for an hour: files without a row, rows without use,
 * unfinished files. Any number of processes may sweep at once. Returns how many files it deleted, and the
 * bytes of those of which they are known.
 */
export async function sweepArtifacts(
  db: Executor,
  store: ArtifactStore,
  before: Date = new Date(Date.now() - SWEEP_AGE_MS),
): Promise<{ items: number; bytes: number }> {
  const unused = await db
    .select({ hash: artifacts.hash, bytes: artifacts.bytes })
    .from(artifacts)
    .where(sql`${artifacts.createdAt} < ${before.toISOString()} and ${UNUSED}`);
  const hashes = unused.map((row) => row.hash);
  const old: string[] = [];
  for await (const file of store.list(before)) if (file.modifiedAt < before) old.push(file.hash);
  for (let i = 0; i < old.length; i += SWEEP_BATCH) {
    hashes.push(...(await withoutRow(db, old.slice(i, i + SWEEP_BATCH))));
  }
  const sizes = new Map(unused.map(({ hash, bytes }) => [hash, bytes]));
  const deleted = { items: 0, bytes: 0 };
  for (const hash of hashes) {
    if (!(await collectArtifact(db, store, hash))) continue;
    deleted.items += 1;
    deleted.bytes += sizes.get(hash) ?? 0;
  }
  return deleted;
}

/** Files of one kind: all, and those that nothing refers to. */
export interface KeptFiles {
  kind: string;
  files: number;
  bytes: number;
  unusedFiles: number;
  unusedBytes: number;
}

/** The files that rows stand for, by kind. */
export async function measureArtifacts(db: Executor): Promise<KeptFiles[]> {
  const { rows } = await db.execute<Record<string, string>>(sql`
    select kind, count(*) as files, sum(bytes) as bytes, count(*) filter (where ${UNUSED}) as "unusedFiles",
      coalesce(sum(bytes) filter (where ${UNUSED}), 0) as "unusedBytes"
    from ${artifacts} group by kind order by kind`);
  return rows.map(({ kind, ...numbers }) => ({
    kind: kind!,
    files: Number(numbers.files),
    bytes: Number(numbers.bytes),
    unusedFiles: Number(numbers.unusedFiles),
    unusedBytes: Number(numbers.unusedBytes),
  }));
}

/** What the next sweep finds without listing the store: rows that nothing refers to. */
export async function measureUnused(db: Executor, before: Date): Promise<{ items: number; bytes: number }> {
  const { rows } = await db.execute<{ items: string; bytes: string }>(sql`
    select count(*) as items, coalesce(sum(bytes), 0) as bytes from ${artifacts}
    where ${artifacts.createdAt} < ${before.toISOString()} and ${UNUSED}`);
  return { items: Number(rows[0]!.items), bytes: Number(rows[0]!.bytes) };
}

const UNUSED = sql`not exists (select from models where models.artifact_hash = ${artifacts.hash})
  and not exists (select from runs where runs.artifact_hash = ${artifacts.hash})
  and not exists (select from corpora where corpora.artifact_hash = ${artifacts.hash})
  and not exists (select from saes where saes.artifact_hash = ${artifacts.hash})
  and not exists (select from hop_saes where hop_saes.artifact_hash = ${artifacts.hash})
  and not exists (select from checkpoints where checkpoints.artifact_hash = ${artifacts.hash})`;

async function withoutRow(db: Executor, hashes: readonly string[]): Promise<string[]> {
  const rows = await db
    .select({ hash: artifacts.hash })
    .from(artifacts)
    .where(inArray(artifacts.hash, [...hashes]));
  const known = new Set(rows.map((row) => row.hash));
  return hashes.filter((hash) => !known.has(hash));
}

async function lockHash(tx: Executor, hash: string): Promise<void> {
  await tx.execute(sql`select pg_advisory_xact_lock(hashtextextended(${hash}, 0))`);
}
