/** Every table of the product. Enumerations are text with checks, so that a new kind is a plain migration. */
import { sql } from 'drizzle-orm';
import {
  type AnyPgColumn,
  bigint,
  boolean,
  check,
  doublePrecision,
  foreignKey,
  index,
  integer,
  jsonb,
  pgTable,
  primaryKey,
  real,
  smallint,
  text,
  timestamp,
  unique,
  uuid,
} from 'drizzle-orm/pg-core';

const id = () => uuid('id').primaryKey().defaultRandom();
const instant = (name: string) => timestamp(name, { withTimezone: true, mode: 'date', precision: 3 });
const createdAt = () => instant('created_at').notNull().defaultNow();
const oneOf = (column: AnyPgColumn, values: readonly string[]) =>
  sql`${column} in (${sql.raw(values.map((v) => `'${v}'`).join(', '))})`;

export const DATASET_KINDS = ['BIOGRAPHY', 'TWO_HOP', 'PROMPTS'] as const;
export const RUN_KINDS = [
  'MODEL',
  'ALIGNMENT',
  'BASELINE',
  'SWAP_SWEEP',
  'ALIGNMENT_SWEEP',
  'GROKKING',
  'CHECKPOINT_ANALYSIS',
  'HOP_SWAP',
] as const;
export const RUN_STATUSES = ['QUEUED', 'RUNNING', 'SUCCEEDED', 'FAILED', 'CANCELLED'] as const;
/** Where a run has ended. */
export const FINAL_STATUSES: readonly RunStatus[] = ['SUCCEEDED', 'FAILED', 'CANCELLED'];
/** Kinds that no worker takes up: such a run follows its parts. */
export const PARENT_KINDS: readonly RunKind[] = ['ALIGNMENT_SWEEP', 'GROKKING'];
export const EXAMPLE_KINDS = ['QUESTION', 'TEXT'] as const;
export const SCOPES = ['READ', 'RUN', 'ADMIN'] as const;
const EVENT_TYPES = ['STATUS', 'LOG', 'PART', 'CELL', 'POINT'] as const;
const SPLIT_NAMES = ['TRAIN', 'VALIDATION', 'TEST_OOD'] as const;

/** What stands in an activation's place when faithfulness is measured. */
export const REPLACEMENTS = ['CLEAN', 'RECONSTRUCTION', 'MEAN', 'ZERO'] as const;
/** What swaps edit: the bound slots, or a control. */
export const SWEEP_EDITED = ['CONCEPT', 'UNSUPERVISED_LATENT', 'RANDOM_LATENT', 'MEAN_DIFFERENCE'] as const;

/** Where a model that was not trained here comes from. */
export type ModelSource =
  | { kind: 'DIRECTORY'; path: string }
  | { kind: 'HUB'; repo: string; revision: string; commit: string };

export type DatasetKind = (typeof DATASET_KINDS)[number];
export type RunKind = (typeof RUN_KINDS)[number];
export type RunStatus = (typeof RUN_STATUSES)[number];
export type ExampleKind = (typeof EXAMPLE_KINDS)[number];
export type Scope = (typeof SCOPES)[number];

export const ontologies = pgTable(
  'ontologies',
  {
    id: id(),
    slug: text('slug').notNull(),
    version: integer('version').notNull(),
    name: text('name').notNull(),
    description: text('description').notNull().default(''),
    createdAt: createdAt(),
  },
  (t) => [
    unique('ontologies_slug_version').on(t.slug, t.version),
    index('ontologies_created').on(t.createdAt, t.id),
    check('ontologies_slug_form', sql`${t.slug} ~ '^[a-z0-9]+(-[a-z0-9]+)*$'`),
    check('ontologies_version_positive', sql`${t.version} > 0`),
  ],
);

export const concepts = pgTable(
  'concepts',
  {
    id: id(),
    ontologyId: uuid('ontology_id')
      .notNull()
      .references(() => ontologies.id, { onDelete: 'cascade' }),
    key: text('key').notNull(),
    label: text('label').notNull(),
    description: text('description').notNull().default(''),
    /** 0-based; the slot `nFree + position` is this concept's. */
    position: integer('position').notNull(),
  },
  (t) => [
    unique('concepts_ontology_key').on(t.ontologyId, t.key),
    unique('concepts_ontology_position').on(t.ontologyId, t.position),
  ],
);

export const datasets = pgTable(
  'datasets',
  {
    id: id(),
    ontologyId: uuid('ontology_id')
      .notNull()
      .references(() => ontologies.id),
    name: text('name').notNull(),
    kind: text('kind').$type<DatasetKind>().notNull(),
    /** How it was made: generator settings and seed, or the import's format and source. */
    settings: jsonb('settings').$type<Record<string, unknown>>().notNull(),
    /** SHA-256 over facts and examples, so that a run can say exactly what it was trained on. */
    contentHash: text('content_hash').notNull(),
    createdAt: createdAt(),
  },
  (t) => [
    index('datasets_ontology').on(t.ontologyId, t.createdAt, t.id),
    index('datasets_created').on(t.createdAt, t.id),
    check('datasets_kind', oneOf(t.kind, DATASET_KINDS)),
  ],
);

export const facts = pgTable(
  'facts',
  {
    id: id(),
    datasetId: uuid('dataset_id')
      .notNull()
      .references(() => datasets.id, { onDelete: 'cascade' }),
    position: integer('position').notNull(),
    entity: text('entity').notNull(),
    conceptId: uuid('concept_id')
      .notNull()
      .references(() => concepts.id),
    value: text('value').notNull(),
  },
  (t) => [
    unique('facts_dataset_position').on(t.datasetId, t.position),
    index('facts_dataset_entity').on(t.datasetId, t.entity, t.conceptId),
    index('facts_concept').on(t.conceptId),
  ],
);

export const examples = pgTable(
  'examples',
  {
    id: id(),
    datasetId: uuid('dataset_id')
      .notNull()
      .references(() => datasets.id, { onDelete: 'cascade' }),
    position: integer('position').notNull(),
    kind: text('kind').$type<ExampleKind>().notNull(),
    split: text('split').$type<(typeof SPLIT_NAMES)[number]>().notNull(),
    /** The question, or the whole text. */
    prompt: text('prompt').notNull(),
    /** Null for texts, and for prompts that only say what they are about. */
    answer: text('answer'),
    entity: text('entity').notNull(),
    template: text('template').notNull().default(''),
  },
  (t) => [
    unique('examples_dataset_position').on(t.datasetId, t.position),
    index('examples_dataset_split').on(t.datasetId, t.split, t.position),
    check('examples_kind', oneOf(t.kind, EXAMPLE_KINDS)),
    check('examples_split', oneOf(t.split, SPLIT_NAMES)),
    check('examples_answer', sql`${t.kind} = 'QUESTION' or ${t.answer} is null`),
  ],
);

export const exampleConcepts = pgTable(
  'example_concepts',
  {
    exampleId: uuid('example_id')
      .notNull()
      .references(() => examples.id, { onDelete: 'cascade' }),
    /** 1 for one-hop questions; 1 and 2 for two-hop questions. */
    hop: smallint('hop').notNull(),
    conceptId: uuid('concept_id')
      .notNull()
      .references(() => concepts.id),
  },
  (t) => [
    primaryKey({ columns: [t.exampleId, t.hop] }),
    index('example_concepts_concept').on(t.conceptId),
    check('example_concepts_hop', sql`${t.hop} in (1, 2)`),
  ],
);

export const artifacts = pgTable(
  'artifacts',
  {
    /** SHA-256 of the file's bytes; also its name in the store. */
    hash: text('hash').primaryKey(),
    bytes: bigint('bytes', { mode: 'number' }).notNull(),
    kind: text('kind').notNull(),
    createdAt: createdAt(),
  },
  (t) => [check('artifacts_hash_form', sql`${t.hash} ~ '^[0-9a-f]{64}$'`)],
);

export const workers = pgTable(
  'workers',
  {
    id: uuid('id').primaryKey(),
    /** Key of the session advisory lock the worker holds while it lives. */
    lockKey: integer('lock_key').notNull().generatedAlwaysAsIdentity(),
    hostname: text('hostname').notNull(),
    pid: integer('pid').notNull(),
    backend: text('backend').notNull(),
    tensorflowVersion: text('tensorflow_version'),
    devices: jsonb('devices').$type<{ name: string; kind: 'CPU' | 'GPU' }[]>().notNull(),
    fallbackReason: text('fallback_reason'),
    startedAt: instant('started_at').notNull().defaultNow(),
    lastSeenAt: instant('last_seen_at').notNull().defaultNow(),
    /** Set when it left in order, or when another found its lock free. */
    endedAt: instant('ended_at'),
  },
  (t) => [index('workers_alive').on(t.lastSeenAt).where(sql`${t.endedAt} is null`)],
);

export const models = pgTable(
  'models',
  {
    id: id(),
    name: text('name').notNull(),
    datasetId: uuid('dataset_id').references(() => datasets.id),
    /** Null for a model that was trained here. */
    source: jsonb('source').$type<ModelSource>(),
    config: jsonb('config').$type<Record<string, number>>().notNull(),
    tokenizer: jsonb('tokenizer').$type<unknown>().notNull(),
    nParams: bigint('n_params', { mode: 'number' }).notNull(),
    /** Share of prompts answered exactly, by split. */
    accuracy: jsonb('accuracy').$type<Partial<Record<string, number>>>().notNull(),
    artifactHash: text('artifact_hash')
      .notNull()
      .references(() => artifacts.hash),
    createdAt: createdAt(),
  },
  (t) => [
    index('models_created').on(t.createdAt, t.id),
    index('models_dataset').on(t.datasetId),
    index('models_artifact').on(t.artifactHash),
  ],
);

export const runs = pgTable(
  'runs',
  {
    id: id(),
    kind: text('kind').$type<RunKind>().notNull(),
    status: text('status').$type<RunStatus>().notNull().default('QUEUED'),
    phase: text('phase').notNull().default('QUEUED'),
    progress: real('progress').notNull().default(0),
    etaSeconds: real('eta_seconds'),
    /** The validated settings, whole, defaults filled in. */
    settings: jsonb('settings').$type<Record<string, unknown>>().notNull(),
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
    /** Of a SWAP_SWEEP: the alignment whose slots it edits. */
    alignmentRunId: uuid('alignment_run_id').references((): AnyPgColumn => runs.id),
    /** Of a SWAP_SWEEP: the unsupervised SAE it compares with; null where it trains one itself. */
    baselineRunId: uuid('baseline_run_id').references((): AnyPgColumn => runs.id),
    /** Of a HOP_SWAP: the analysis whose slots it edits; null where it trains SAEs itself. */
    analysisRunId: uuid('analysis_run_id').references((): AnyPgColumn => runs.id),
    /** Weights the run ended with. */
    artifactHash: text('artifact_hash').references(() => artifacts.hash),
    /** Small results that have no table of their own. */
    result: jsonb('result').$type<Record<string, unknown>>(),
    backend: text('backend'),
    codeVersion: text('code_version').notNull(),
    workerId: uuid('worker_id').references(() => workers.id),
    /** Counts claims; a worker whose attempt is no longer current may not write. */
    attempt: integer('attempt').notNull().default(0),
    /** Sequence number of the newest event; events of a run are numbered 1, 2, 3 … */
    lastSeq: bigint('last_seq', { mode: 'number' }).notNull().default(0),
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
    index('runs_alignment').on(t.alignmentRunId),
    index('runs_baseline').on(t.baselineRunId),
    index('runs_analysis').on(t.analysisRunId),
    index('runs_artifact').on(t.artifactHash),
    check('runs_kind', oneOf(t.kind, RUN_KINDS)),
    check('runs_status_known', oneOf(t.status, RUN_STATUSES)),
    check('runs_progress_share', sql`${t.progress} between 0 and 1`),
    check('runs_step', sql`(${t.step} is not null) = (${t.kind} = 'CHECKPOINT_ANALYSIS')`),
    check(
      'runs_finished',
      sql`(${t.finishedAt} is not null) = (${t.status} in ('SUCCEEDED', 'FAILED', 'CANCELLED'))`,
    ),
    check('runs_error', sql`(${t.errorCode} is not null) = (${t.status} = 'FAILED')`),
  ],
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
    runId: uuid('run_id')
      .notNull()
      .references(() => runs.id, { onDelete: 'cascade' }),
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

/** What a grokking run measured of a checkpoint. */
export const grokkingPoints = pgTable(
  'grokking_points',
  {
    /** The GROKKING run. */
    runId: uuid('run_id')
      .notNull()
      .references(() => runs.id, { onDelete: 'cascade' }),
    step: integer('step').notNull(),
    at: instant('at').notNull(),
    /** The event that told of it; null until all before it have been told of. */
    seq: bigint('seq', { mode: 'number' }),
    trainQuestions: integer('train_questions').notNull(),
    trainCorrect: integer('train_correct').notNull(),
    heldOutQuestions: integer('held_out_questions').notNull(),
    heldOutCorrect: integer('held_out_correct').notNull(),
    /** Null where the dataset states no single facts. */
    oneHopQuestions: integer('one_hop_questions'),
    oneHopCorrect: integer('one_hop_correct'),
    /** Of the answers of TRAIN questions, nats a token. */
    loss: doublePrecision('loss').notNull(),
    weightNorm: doublePrecision('weight_norm').notNull(),
    logitMargin: doublePrecision('logit_margin').notNull(),
  },
  (t) => [
    primaryKey({ columns: [t.runId, t.step] }),
    check('grokking_points_train', sql`${t.trainCorrect} between 0 and ${t.trainQuestions}`),
    check('grokking_points_held_out', sql`${t.heldOutCorrect} between 0 and ${t.heldOutQuestions}`),
    check('grokking_points_one_hop', sql`${t.oneHopCorrect} between 0 and ${t.oneHopQuestions}`),
  ],
);

/** How the slots of one hop bind at a checkpoint. */
export const grokkingBindings = pgTable(
  'grokking_bindings',
  {
    runId: uuid('run_id').notNull(),
    step: integer('step').notNull(),
    hop: smallint('hop').notNull(),
    top1: doublePrecision('top1').notNull(),
    top3: doublePrecision('top3').notNull(),
    top5: doublePrecision('top5').notNull(),
    diagonalStrength: doublePrecision('diagonal_strength').notNull(),
    matrix: jsonb('matrix').$type<number[][]>().notNull(),
    /** By how much held-out accuracy falls when the hop's slots are set to 0. */
    ablationEffect: doublePrecision('ablation_effect').notNull(),
    /** The slots' decoder columns, one behind the other. */
    directions: real('directions').array().notNull(),
  },
  (t) => [
    primaryKey({ columns: [t.runId, t.step, t.hop] }),
    foreignKey({
      name: 'grokking_bindings_point',
      columns: [t.runId, t.step],
      foreignColumns: [grokkingPoints.runId, grokkingPoints.step],
    }).onDelete('cascade'),
    check('grokking_bindings_hop', sql`${t.hop} in (1, 2)`),
  ],
);

/** SAEs of two-hop runs, hop by hop; one that is shared is there at both. */
export const hopSaes = pgTable(
  'hop_saes',
  {
    /** The CHECKPOINT_ANALYSIS or HOP_SWAP run that trained it. */
    runId: uuid('run_id')
      .notNull()
      .references(() => runs.id, { onDelete: 'cascade' }),
    hop: smallint('hop').notNull(),
    artifactHash: text('artifact_hash')
      .notNull()
      .references(() => artifacts.hash),
  },
  (t) => [
    primaryKey({ columns: [t.runId, t.hop] }),
    index('hop_saes_artifact').on(t.artifactHash),
    check('hop_saes_hop', sql`${t.hop} in (1, 2)`),
  ],
);

/** Swaps at one hop of two-hop questions by one method of one edit, at the alpha that did best on TRAIN questions. */
export const hopSwaps = pgTable(
  'hop_swaps',
  {
    runId: uuid('run_id')
      .notNull()
      .references(() => runs.id, { onDelete: 'cascade' }),
    /** Place in the run's order of work. */
    position: integer('position').notNull(),
    hop: smallint('hop').notNull(),
    edited: text('edited').$type<(typeof SWEEP_EDITED)[number]>().notNull(),
    method: text('method').notNull(),
    alpha: doublePrecision('alpha').notNull(),
    /** Swaps on held-out questions to pairs that counterfactuals may have led to, and to those withheld from them. */
    shownTrials: integer('shown_trials').notNull(),
    shownSuccesses: integer('shown_successes').notNull(),
    withheldTrials: integer('withheld_trials').notNull(),
    withheldSuccesses: integer('withheld_successes').notNull(),
    /** Armed swaps on held-out questions about other relations, and how many left the answer as it was. */
    otherQuestions: integer('other_questions').notNull(),
    otherQuestionsKept: integer('other_questions_kept').notNull(),
    /** On TRAIN questions, alpha by alpha. */
    choosing: jsonb('choosing').$type<{ alpha: number; trials: number; successes: number }[]>().notNull(),
  },
  (t) => [
    primaryKey({ columns: [t.runId, t.position] }),
    unique('hop_swaps_what').on(t.runId, t.hop, t.edited, t.method),
    check('hop_swaps_hop', sql`${t.hop} in (1, 2)`),
    check('hop_swaps_edited', oneOf(t.edited, SWEEP_EDITED)),
    check('hop_swaps_shown', sql`${t.shownSuccesses} between 0 and ${t.shownTrials}`),
    check('hop_swaps_withheld', sql`${t.withheldSuccesses} between 0 and ${t.withheldTrials}`),
    check('hop_swaps_other', sql`${t.otherQuestionsKept} between 0 and ${t.otherQuestions}`),
  ],
);

/** Status changes, log lines, finished parts, cells of sweeps and points of grokking runs; metric rows carry their own `seq` from the same counter. */
export const runEvents = pgTable(
  'run_events',
  {
    runId: uuid('run_id')
      .notNull()
      .references(() => runs.id, { onDelete: 'cascade' }),
    seq: bigint('seq', { mode: 'number' }).notNull(),
    at: instant('at').notNull(),
    type: text('type').$type<(typeof EVENT_TYPES)[number]>().notNull(),
    payload: jsonb('payload').$type<Record<string, unknown>>().notNull(),
  },
  (t) => [primaryKey({ columns: [t.runId, t.seq] }), check('run_events_type', oneOf(t.type, EVENT_TYPES))],
);

/** One value of one metric; all values of one logged step share one `seq`. */
export const metricPoints = pgTable(
  'metric_points',
  {
    runId: uuid('run_id')
      .notNull()
      .references(() => runs.id, { onDelete: 'cascade' }),
    name: text('name').notNull(),
    step: integer('step').notNull(),
    value: doublePrecision('value').notNull(),
    at: instant('at').notNull(),
    seq: bigint('seq', { mode: 'number' }).notNull(),
  },
  (t) => [
    primaryKey({ columns: [t.runId, t.name, t.step] }),
    index('metric_points_seq').on(t.runId, t.seq),
    check('metric_points_step', sql`${t.step} >= 0`),
  ],
);

/** Binding and reconstruction of an alignment run on one split. */
export const splitMeasures = pgTable(
  'split_measures',
  {
    runId: uuid('run_id')
      .notNull()
      .references(() => runs.id, { onDelete: 'cascade' }),
    split: text('split').$type<(typeof SPLIT_NAMES)[number]>().notNull(),
    examples: integer('examples').notNull(),
    accuracy: doublePrecision('accuracy').notNull(),
    top3: doublePrecision('top3').notNull(),
    top5: doublePrecision('top5').notNull(),
    diagonalAccuracy: doublePrecision('diagonal_accuracy').notNull(),
    diagonalStrength: doublePrecision('diagonal_strength').notNull(),
    matrix: jsonb('matrix').$type<number[][]>().notNull(),
    conceptAccuracy: jsonb('concept_accuracy').$type<number[]>().notNull(),
    valueAccuracy: doublePrecision('value_accuracy'),
    fvu: doublePrecision('fvu').notNull(),
    l0: doublePrecision('l0').notNull(),
    deadLatents: doublePrecision('dead_latents').notNull(),
  },
  (t) => [
    primaryKey({ columns: [t.runId, t.split] }),
    check('split_measures_split', oneOf(t.split, SPLIT_NAMES)),
    check('split_measures_accuracy', sql`${t.accuracy} between 0 and 1`),
  ],
);

export const slots = pgTable(
  'slots',
  {
    id: id(),
    runId: uuid('run_id')
      .notNull()
      .references(() => runs.id, { onDelete: 'cascade' }),
    conceptId: uuid('concept_id')
      .notNull()
      .references(() => concepts.id),
    /** Latent index in the SAE, `nFree + concept position`. */
    index: integer('index').notNull(),
    topExamples: jsonb('top_examples').$type<{ promptId: string; activation: number }[]>().notNull(),
    topTokens: jsonb('top_tokens').$type<{ token: string; score: number }[]>().notNull(),
  },
  (t) => [
    unique('slots_run_index').on(t.runId, t.index),
    unique('slots_run_concept').on(t.runId, t.conceptId),
    index('slots_concept').on(t.conceptId, t.id),
  ],
);

/** Swap success of an alignment run at one alpha on one population. */
export const swapMeasures = pgTable(
  'swap_measures',
  {
    runId: uuid('run_id')
      .notNull()
      .references(() => runs.id, { onDelete: 'cascade' }),
    control: text('control').$type<'CONCEPT' | 'RANDOM_LATENT'>().notNull(),
    population: text('population').$type<'VALIDATION' | 'UNSEEN' | 'SEEN'>().notNull(),
    split: text('split').$type<(typeof SPLIT_NAMES)[number]>().notNull(),
    alpha: doublePrecision('alpha').notNull(),
    trials: integer('trials').notNull(),
    successes: integer('successes').notNull(),
    /** True where alpha is the one chosen on validation. */
    chosen: boolean('chosen').notNull(),
  },
  (t) => [
    primaryKey({ columns: [t.runId, t.control, t.population, t.split, t.alpha] }),
    check('swap_measures_counts', sql`${t.successes} between 0 and ${t.trials}`),
  ],
);

/** The latent that tells a concept best: its slot, or the best single latent of an unsupervised SAE. */
export const conceptLatents = pgTable(
  'concept_latents',
  {
    runId: uuid('run_id')
      .notNull()
      .references(() => runs.id, { onDelete: 'cascade' }),
    conceptId: uuid('concept_id')
      .notNull()
      .references(() => concepts.id),
    /** Latent index in the SAE. */
    latent: integer('latent').notNull(),
    /** On TRAIN, where the latent is chosen. */
    separability: doublePrecision('separability').notNull(),
    /** On TEST_OOD; null where it is empty. */
    heldOutSeparability: doublePrecision('held_out_separability'),
    /** Mean activation over the concept's TRAIN prompts on which it fires. */
    meanActivation: doublePrecision('mean_activation').notNull(),
    /** Latents that it takes to reach 95% of what all latents together reach. */
    fragmentation: integer('fragmentation').notNull(),
  },
  (t) => [primaryKey({ columns: [t.runId, t.conceptId] }), index('concept_latents_concept').on(t.conceptId)],
);

/** Answers of the language model with the activation replaced, on one split. */
export const faithfulness = pgTable(
  'faithfulness',
  {
    runId: uuid('run_id')
      .notNull()
      .references(() => runs.id, { onDelete: 'cascade' }),
    split: text('split').$type<(typeof SPLIT_NAMES)[number]>().notNull(),
    replacement: text('replacement').$type<(typeof REPLACEMENTS)[number]>().notNull(),
    prompts: integer('prompts').notNull(),
    /** Prompts whose whole greedy answer is right. */
    correct: integer('correct').notNull(),
    /** Of the answer's tokens, in nats a token. */
    crossEntropy: doublePrecision('cross_entropy').notNull(),
  },
  (t) => [
    primaryKey({ columns: [t.runId, t.split, t.replacement] }),
    check('faithfulness_split', oneOf(t.split, SPLIT_NAMES)),
    check('faithfulness_replacement', oneOf(t.replacement, REPLACEMENTS)),
    check('faithfulness_counts', sql`${t.correct} between 0 and ${t.prompts}`),
  ],
);

/** One method at one alpha in a swap sweep, for the slots or for a control. */
export const sweepCells = pgTable(
  'sweep_cells',
  {
    runId: uuid('run_id')
      .notNull()
      .references(() => runs.id, { onDelete: 'cascade' }),
    /** Place in the sweep's order of work. */
    position: integer('position').notNull(),
    edited: text('edited').$type<(typeof SWEEP_EDITED)[number]>().notNull(),
    method: text('method').notNull(),
    alpha: doublePrecision('alpha').notNull(),
    trials: integer('trials').notNull(),
    successes: integer('successes').notNull(),
    /** Armed swaps on prompts about other concepts, and how many left the answer as it was; likewise for texts. */
    otherPrompts: integer('other_prompts').notNull(),
    otherPromptsKept: integer('other_prompts_kept').notNull(),
    texts: integer('texts').notNull(),
    textsKept: integer('texts_kept').notNull(),
    /** Texts that state the source's own fact. */
    statements: integer('statements').notNull(),
    statementsKept: integer('statements_kept').notNull(),
    /** Source and target by concept index. */
    pairs: jsonb('pairs')
      .$type<{ source: number; target: number; trials: number; successes: number }[]>()
      .notNull(),
  },
  (t) => [
    primaryKey({ columns: [t.runId, t.position] }),
    unique('sweep_cells_what').on(t.runId, t.edited, t.method, t.alpha),
    check('sweep_cells_edited', oneOf(t.edited, SWEEP_EDITED)),
    check('sweep_cells_successes', sql`${t.successes} between 0 and ${t.trials}`),
    check('sweep_cells_other_prompts', sql`${t.otherPromptsKept} between 0 and ${t.otherPrompts}`),
    check('sweep_cells_texts', sql`${t.textsKept} between 0 and ${t.texts}`),
    check('sweep_cells_statements', sql`${t.statementsKept} between 0 and ${t.statements}`),
  ],
);

/** One concept swap on one prompt, as `swapConcept` returned it. */
export const interventions = pgTable(
  'interventions',
  {
    id: id(),
    runId: uuid('run_id')
      .notNull()
      .references(() => runs.id, { onDelete: 'cascade' }),
    exampleId: uuid('example_id').references(() => examples.id, { onDelete: 'set null' }),
    method: text('method').notNull(),
    alpha: doublePrecision('alpha').notNull(),
    /** Whether the edit stood ready at every position and fired where the source slot was on. */
    armed: boolean('armed').notNull().default(false),
    sourceConceptId: uuid('source_concept_id')
      .notNull()
      .references(() => concepts.id),
    targetConceptId: uuid('target_concept_id')
      .notNull()
      .references(() => concepts.id),
    prompt: text('prompt').notNull(),
    /** The entity's fact for the target concept; null when the dataset has none. */
    expectedAnswer: text('expected_answer'),
    /** Null when there is nothing to compare with. */
    success: boolean('success'),
    baseline: jsonb('baseline').$type<Continuation>().notNull(),
    result: jsonb('result').$type<Continuation>().notNull(),
    slots: jsonb('slots')
      .$type<{ index: number; concept: number; before: number; after: number }[]>()
      .notNull(),
    createdAt: createdAt(),
  },
  (t) => [
    index('interventions_run').on(t.runId, t.createdAt, t.id),
    index('interventions_run_success').on(t.runId, t.success, t.createdAt, t.id),
    index('interventions_created').on(t.createdAt, t.id),
    index('interventions_example').on(t.exampleId),
    index('interventions_source').on(t.sourceConceptId),
    index('interventions_target').on(t.targetConceptId),
  ],
);

interface Continuation {
  text: string;
  tokens: { text: string; probability: number }[];
}

/** Bearer keys; only a hash is stored. */
export const apiKeys = pgTable(
  'api_keys',
  {
    id: id(),
    name: text('name').notNull(),
    /** SHA-256 of the key, lower-case hex. */
    hash: text('hash').notNull(),
    scopes: text('scopes').array().$type<Scope[]>().notNull(),
    createdAt: createdAt(),
    lastUsedAt: instant('last_used_at'),
    revokedAt: instant('revoked_at'),
  },
  (t) => [
    unique('api_keys_hash').on(t.hash),
    check(
      'api_keys_scopes',
      sql`cardinality(${t.scopes}) > 0 and ${t.scopes} <@ array['READ', 'RUN', 'ADMIN']`,
    ),
  ],
);
