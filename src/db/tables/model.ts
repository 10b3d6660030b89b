import { bigint, index, jsonb, pgTable, text, uuid } from 'drizzle-orm/pg-core';
import type { ModelConfig, ModelResult } from '../../engine/contract/model.ts';
import { artifacts } from './artifact.ts';
import { anyJson, createdAt, id, labels } from './columns.ts';
import { datasets } from './dataset.ts';

/** Where a model that was not trained here comes from. */
export type ModelSource =
  | { kind: 'DIRECTORY'; path: string }
  /** Activations that were captured elsewhere, without the model. */
  | { kind: 'ACTIVATIONS'; path: string }
  | { kind: 'HUB'; repo: string; revision: string; commit: string; file?: string };

export const models = pgTable(
  'models',
  {
    id: id(),
    name: text('name').notNull(),
    datasetId: uuid('dataset_id').references(() => datasets.id),
    /** Null for a model that was trained here. */
    source: jsonb('source').$type<ModelSource>(),
    config: jsonb('config').$type<ModelConfig>().notNull(),
    tokenizer: anyJson('tokenizer').notNull(),
    nParams: bigint('n_params', { mode: 'number' }).notNull(),
    /** Share of prompts answered exactly, by split. */
    accuracy: jsonb('accuracy').$type<ModelResult['accuracy']>().notNull(),
    artifactHash: text('artifact_hash')
      .notNull()
      .references(() => artifacts.hash),
    createdAt: createdAt(),
    ...labels(),
  },
  (t) => [
    index('models_created').on(t.createdAt, t.id),
    index('models_dataset').on(t.datasetId),
    index('models_artifact').on(t.artifactHash),
  ],
);
