/** What is kept for how long: collected by rules, each of which can say beforehand what it would take. */
import type { ArtifactStore } from '../db/artifactStore.ts';
import type { Db } from '../db/client.ts';
import { measureUnused, SWEEP_AGE_MS, sweepArtifacts } from '../db/queries/artifacts.ts';
import {
  type Amount,
  type Ended,
  isCollectable,
  listCollectable,
  measureCollectable,
} from '../db/queries/collectable.ts';
import {
  type Collection,
  collectRows,
  listCollections,
  measureRows,
  noteCollection,
  type RowPolicy,
} from '../db/queries/retention.ts';
import { FINAL_STATUSES, RETENTION_POLICIES, type RetentionPolicyName } from '../db/tables/index.ts';
import { AppError } from '../errors.ts';
import { deleteUnless } from './deletion.ts';

export { type KeptFiles, measureArtifacts } from '../db/queries/artifacts.ts';
export { type Amount, KEEP_TAG } from '../db/queries/collectable.ts';
export { type Collection, type KeptTable, measureTables } from '../db/queries/retention.ts';
export { RETENTION_POLICIES, type RetentionPolicyName } from '../db/tables/index.ts';

/** Ages in milliseconds after which things are collected; null where they are kept for good. */
export type RetentionAges = Record<'DAMAGED' | 'EVENTS' | 'FAILED_RUNS' | 'RESULTS' | 'AUDIT', number | null>;

interface Work {
  db: Db;
  store: ArtifactStore;
}

interface Rule {
  measure(work: Work, before: Date): Promise<Amount>;
  collect(work: Work, before: Date, signal?: AbortSignal): Promise<Amount>;
}

const RULES: Readonly<Record<RetentionPolicyName, Rule>> = {
  LEFTOVERS: {
    measure: ({ db }, before) => measureUnused(db, before),
    collect: ({ db, store }, before) => sweepArtifacts(db, store, before),
  },
  DAMAGED: {
    measure: ({ store }, before) => overDamaged(store, before, async () => {}),
    collect: ({ store }, before) => overDamaged(store, before, (name) => store.deleteDamaged(name)),
  },
  EVENTS: rowRule('EVENTS'),
  FAILED_RUNS: runRule(FINAL_STATUSES.filter((status) => status !== 'SUCCEEDED')),
  RESULTS: runRule(['SUCCEEDED']),
  AUDIT: rowRule('AUDIT'),
  WORKERS: rowRule('WORKERS'),
};

/** How old a thing must be to be collected; null where it never is. */
export function ageOf(policy: RetentionPolicyName, ages: RetentionAges): number | null {
  if (policy === 'LEFTOVERS') return SWEEP_AGE_MS;
  // Nobody reads of a worker but beside the events of its runs.
  return ages[policy === 'WORKERS' ? 'EVENTS' : policy];
}

/**
 * Collects by every rule in turn, and notes how much it was; what one rule takes may leave room for the next. That no
 * two processes do it at once is the caller's part; if they did, they would only do it twice.
 * @param onFailure Told of a rule that failed; the others go on.
 */
export async function collectByRules(
  work: Work,
  ages: RetentionAges,
  {
    signal,
    onFailure,
  }: { signal?: AbortSignal; onFailure(policy: RetentionPolicyName, error: unknown): void },
): Promise<Map<RetentionPolicyName, Amount>> {
  const collected = new Map<RetentionPolicyName, Amount>();
  // Runs before leftovers, whose files they leave.
  for (const policy of [...RETENTION_POLICIES].reverse()) {
    const age = ageOf(policy, ages);
    if (age === null || signal?.aborted) continue;
    try {
      const amount = await RULES[policy].collect(work, new Date(Date.now() - age), signal);
      await noteCollection(work.db, policy, amount);
      if (amount.items > 0) collected.set(policy, amount);
    } catch (error) {
      onFailure(policy, error);
    }
  }
  return collected;
}

export interface RetentionState {
  policy: RetentionPolicyName;
  ageMs: number | null;
  /** Null where it collects nothing. */
  due: Amount | null;
  /** Null before the first round. */
  last: Collection | null;
}

/** For each rule what it would take now, and what it has taken. */
export async function readRetention(work: Work, ages: RetentionAges): Promise<RetentionState[]> {
  const collections = await listCollections(work.db);
  const states: RetentionState[] = [];
  for (const policy of RETENTION_POLICIES) {
    const ageMs = ageOf(policy, ages);
    const due = ageMs === null ? null : await RULES[policy].measure(work, new Date(Date.now() - ageMs));
    states.push({ policy, ageMs, due, last: collections.find((row) => row.policy === policy) ?? null });
  }
  return states;
}

function rowRule(policy: RowPolicy): Rule {
  return {
    measure: ({ db }, before) => measureRows(db, policy, before),
    collect: ({ db }, before, signal) => collectRows(db, policy, before, signal),
  };
}

/** Runs read at a time. */
const RUN_BATCH = 100;

function runRule(statuses: Ended['statuses']): Rule {
  return {
    measure: ({ db }, before) => measureCollectable(db, { statuses, before }),
    async collect(work, before, signal) {
      const ended = { statuses, before };
      const done = { items: 0, bytes: 0 };
      const left = new Set<string>();
      // One that goes may free another, which it rested on.
      for (;;) {
        const ids = (await listCollectable(work.db, ended, RUN_BATCH + left.size)).filter(
          (id) => !left.has(id),
        );
        if (ids.length === 0) return done;
        for (const id of ids) {
          if (signal?.aborted) return done;
          const freed = await collectRun(work, ended, id);
          if (freed === null) left.add(id);
          else done.items += 1;
          done.bytes += freed ?? 0;
        }
      }
    },
  };
}

/** The bytes that became free; null where somebody has come to need the run meanwhile, or has deleted it. */
async function collectRun(work: Work, ended: Ended, id: string): Promise<number | null> {
  try {
    const { freedBytes } = await deleteUnless(work, 'Run', id, async (tx) => {
      if (!(await isCollectable(tx, ended, id))) throw new AppError('CONFLICT', `run ${id} is needed`);
    });
    return freedBytes;
  } catch (error) {
    if (error instanceof AppError && (error.code === 'CONFLICT' || error.code === 'NOT_FOUND')) return null;
    throw error;
  }
}

async function overDamaged(
  store: ArtifactStore,
  before: Date,
  each: (name: string) => Promise<void>,
): Promise<Amount> {
  const amount = { items: 0, bytes: 0 };
  for await (const { name, bytes, modifiedAt } of store.listDamaged()) {
    if (modifiedAt >= before) continue;
    await each(name);
    amount.items += 1;
    amount.bytes += bytes;
  }
  return amount;
}
