/** Runs: what is asked for, how far it is and what it came to. */
import { sql } from 'drizzle-orm';
import {
  type AnyPgColumn,
  bigint,
  boolean,
  check,
  customType,
  index,
  integer,
  jsonb,
  pgTable,
  primaryKey,
  real,
  smallint,
  text,
  unique,
  uuid,
} from 'drizzle-orm/pg-core';
import type { Phase } from '../../engine/contract/phases.ts';
import { RUN_KINDS, type RunKind, type RunResults, type RunSettings } from '../../engine/contract/runs.ts';
import { apiKeys } from './apiKey.ts';
import { artifacts } from './artifact.ts';
import { createdAt, id, instant, labels, oneOf } from './columns.ts';
import { corpora } from './corpus.ts';
import { datasets } from './dataset.ts';
import { models } from './model.ts';
import { workers } from './worker.ts';

export const RUN_STATUSES = ['QUEUED', 'RUNNING', 'SUCCEEDED', 'FAILED', 'CANCELLED'] as const;

/** Where a run has ended. */
export const FINAL_STATUSES: readonly RunStatus[] = ['SUCCEEDED', 'FAILED', 'CANCELLED'];

export type RunStatus = (typeof RUN_STATUSES)[number];

/** Step and value; null where it is not finite. */
export type LastValue = [step: number, value: number | null];

export const runs = pgTable(
  'runs',
  {
    id: id(),
    kind: text('kind').$type<RunKind>().notNull(),
    /** Empty where none was given. */
    name: text('name').notNull().default(''),
    ...labels(),
    status: text('status').$type<RunStatus>().notNull().default('QUEUED'),
    phase: text('phase').$type<Phase>().notNull().default('QUEUED'),
    progress: real('progress').notNull().default(0),
    etaSeconds: real('eta_seconds'),
    /** The validated settings, whole, defaults filled in. */
    settings: jsonb('settings').$type<RunSettings[RunKind]>().notNull(),
    seed: integer('seed').notNull(),
    datasetId: uuid('dataset_id')
      .notNull()
      .references(() => datasets.id),
    datasetHash: text('dataset_hash').notNull(),
    /** Of a MODEL run: the model it made. Of any other: the model it studies; null until training has come to it. */
    modelId: uuid('model_id').references(() => models.id),
    /** Of a CHECKPOINT_ANALYSIS: the step of training after which the model is studied. */
    step: integer('step'),
    /** The sweep or grokking run of which this run is a part. */
    parentId: uuid('parent_id').references((): AnyPgColumn => runs.id, { onDelete: 'cascade' }),
    /** Of a MODEL run: the model whose weights it began with; null where they were drawn. */
    initialModelId: uuid('initial_model_id').references((): AnyPgColumn => models.id),
    /** Of an ALIGNMENT or a BASELINE: the texts that it reads; null where its settings ask for none. */
    corpusId: uuid('corpus_id').references(() => corpora.id),
    /** Of a SWAP_SWEEP: the alignment whose slots it edits. */
    alignmentRunId: uuid('alignment_run_id').references((): AnyPgColumn => runs.id),
    /** Of a SWAP_SWEEP: the unsupervised SAE it compares with; null where it trains one itself. */
    baselineRunId: uuid('baseline_run_id').references((): AnyPgColumn => runs.id),
    /** Of a HOP_SWAP: the analysis whose slots it edits; null where it trains SAEs itself. */
    analysisRunId: uuid('analysis_run_id').references((): AnyPgColumn => runs.id),
    /** Weights the run ended with. */
    artifactHash: text('artifact_hash').references(() => artifacts.hash),
    /** Small results that have no table of their own. */
    result: jsonb('result').$type<RunResults[RunKind]>(),
    backend: text('backend'),
    codeVersion: text('code_version').notNull(),
    workerId: uuid('worker_id').references(() => workers.id),
    /** Counts claims; a worker whose attempt is no longer current may not write. */
    attempt: integer('attempt').notNull().default(0),
    /** Of runs that wait, the highest is taken up first. */
    priority: smallint('priority').notNull().default(0),
    /** The key by which it was started; null where there was none. */
    apiKeyId: uuid('api_key_id').references(() => apiKeys.id, { onDelete: 'set null' }),
    /** The run that was tried again, or changed, in this one. */
    copyOfId: uuid('copy_of_id').references((): AnyPgColumn => runs.id, { onDelete: 'set null' }),
    /** Workers that died with it since it last got on. */
    deaths: integer('deaths').notNull().default(0),
    /** Sequence number of the newest event; events of a run are numbered 1, 2, 3 … */
    lastSeq: bigint('last_seq', { mode: 'number' }).notNull().default(0),
    /** By name, the newest value of each metric that is not of one concept. */
    lastMetrics: jsonb('last_metrics').$type<Record<string, LastValue>>().notNull().default({}),
    errorCode: text('error_code'),
    errorMessage: text('error_message'),
    createdAt: createdAt(),
    startedAt: instant('started_at'),
    finishedAt: instant('finished_at'),
  },
  (t) => [
    index('runs_created').on(t.createdAt, t.id),
    index('runs_status').on(t.status, t.createdAt, t.id),
    index('runs_worker').on(t.workerId).where(sql`${t.status} = 'RUNNING'`),
    index('runs_dataset').on(t.datasetId),
    index('runs_model').on(t.modelId),
    index('runs_parent').on(t.parentId, t.createdAt, t.id),
    index('runs_initial_model').on(t.initialModelId),
    index('runs_corpus').on(t.corpusId),
    index('runs_alignment').on(t.alignmentRunId),
    index('runs_baseline').on(t.baselineRunId),
    index('runs_analysis').on(t.analysisRunId),
    index('runs_artifact').on(t.artifactHash),
    index('runs_copy_of').on(t.copyOfId),
    index('runs_queued_by').on(t.apiKeyId).where(sql`${t.status} = 'QUEUED'`),
    check('runs_kind', oneOf(t.kind, RUN_KINDS)),
    check('runs_status_known', oneOf(t.status, RUN_STATUSES)),
    check('runs_progress_share', sql`${t.progress} between 0 and 1`),
    check('runs_priority', sql`${t.priority} between -10 and 10`),
    check('runs_step', sql`(${t.step} is not null) = (${t.kind} = 'CHECKPOINT_ANALYSIS')`),
    check(
      'runs_finished',
      sql`(${t.finishedAt} is not null) = (${t.status} in ('SUCCEEDED', 'FAILED', 'CANCELLED'))`,
    ),
    check('runs_error', sql`(${t.errorCode} is not null) = (${t.status} = 'FAILED')`),
  ],
);

/** The run that a row belongs to, and goes with. */
export const runId = () =>
  uuid('run_id')
    .notNull()
    .references(() => runs.id, { onDelete: 'cascade' });

/** The id of a transaction, which snapshots say of whether they see it. */
const xid8 = customType<{ data: string }>({ dataType: () => 'xid8' });

/**
 * Which transaction changed each run last; kept by triggers, so that nothing that changes a run can forget it. The row
 * of a run that was deleted stays, for subscribers who come back later.
 */
export const runChanges = pgTable(
  'run_changes',
  {
    runId: uuid('run_id').primaryKey(),
    kind: text('kind').$type<RunKind>().notNull(),
    xid: xid8('xid').notNull(),
    deleted: boolean('deleted').notNull().default(false),
  },
  (t) => [index('run_changes_xid').on(t.xid, t.runId)],
);

/** The newest checkpoint of an unfinished run. */
export const checkpoints = pgTable(
  'checkpoints',
  {
    runId: uuid('run_id')
      .primaryKey()
      .references(() => runs.id, { onDelete: 'cascade' }),
    step: integer('step').notNull(),
    artifactHash: text('artifact_hash')
      .notNull()
      .references(() => artifacts.hash),
    createdAt: createdAt(),
  },
  (t) => [index('checkpoints_artifact').on(t.artifactHash)],
);

/** Models as they were along their training. */
export const modelCheckpoints = pgTable(
  'model_checkpoints',
  {
    /** The MODEL run. */
    runId: runId(),
    /** 0 is before training. */
    step: integer('step').notNull(),
    modelId: uuid('model_id')
      .notNull()
      .references(() => models.id),
  },
  (t) => [
    primaryKey({ columns: [t.runId, t.step] }),
    unique('model_checkpoints_model').on(t.modelId),
    check('model_checkpoints_step', sql`${t.step} >= 0`),
  ],
);
