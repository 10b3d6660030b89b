/** Sparse autoencoders: those that runs trained, and those that were imported. */
import { sql } from 'drizzle-orm';
import { check, index, integer, jsonb, pgTable, text, unique, uuid } from 'drizzle-orm/pg-core';
import type { SaeConfig } from '../../engine/contract/sae.ts';
import { artifacts } from './artifact.ts';
import { createdAt, id, labels } from './columns.ts';
import { datasets } from './dataset.ts';
import { models } from './model.ts';
import { runs } from './run.ts';

/** What of an SAE's configuration is known without its file. */
export type SaeShape = Pick<SaeConfig, 'dModel' | 'nFree' | 'nConcepts' | 'activation' | 'k'>;

/** Where an SAE that was not trained here comes from; `file` is that of its weights. */
export type SaeSource =
  | { kind: 'DIRECTORY'; path: string; file: string }
  | { kind: 'HUB'; repo: string; revision: string; commit: string; folder: string; file: string };

export const saes = pgTable(
  'saes',
  {
    id: id(),
    name: text('name').notNull(),
    ...labels(),
    /** The run that trained it, which it goes with. */
    runId: uuid('run_id').references(() => runs.id, { onDelete: 'cascade' }),
    /** Null for an SAE that was trained here. */
    source: jsonb('source').$type<SaeSource>(),
    /** The model whose activations it reads. */
    modelId: uuid('model_id')
      .notNull()
      .references(() => models.id),
    /** On whose prompts it learned, or is measured where nothing else is said. */
    datasetId: uuid('dataset_id').references(() => datasets.id, { onDelete: 'set null' }),
    layer: integer('layer').notNull(),
    config: jsonb('config').$type<SaeShape>().notNull(),
    artifactHash: text('artifact_hash')
      .notNull()
      .references(() => artifacts.hash),
    createdAt: createdAt(),
  },
  (t) => [
    unique('saes_run').on(t.runId, t.artifactHash),
    index('saes_created').on(t.createdAt, t.id),
    index('saes_model').on(t.modelId, t.createdAt, t.id),
    index('saes_dataset').on(t.datasetId),
    index('saes_artifact').on(t.artifactHash),
    check('saes_origin', sql`num_nonnulls(${t.runId}, ${t.source}) = 1`),
    check('saes_layer', sql`${t.layer} >= -1`),
  ],
);

/** The SAE that a run makes use of: the one with which an alignment begins, or which an evaluation measures. */
export const usedSaes = pgTable(
  'used_saes',
  {
    runId: uuid('run_id')
      .primaryKey()
      .references(() => runs.id, { onDelete: 'cascade' }),
    saeId: uuid('sae_id')
      .notNull()
      .references(() => saes.id),
  },
  (t) => [index('used_saes_sae').on(t.saeId)],
);
