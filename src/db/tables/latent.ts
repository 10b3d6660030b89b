/**
 * What was measured of the latents of an SAE on the prompts of a dataset. Models, SAEs and datasets never change, so
 * neither does this: it is kept, for measuring takes the engine from a tenth of a second to minutes.
 */
import { doublePrecision, foreignKey, index, integer, pgTable, primaryKey, uuid } from 'drizzle-orm/pg-core';
import type { LatentPage, LatentTokens } from '../../engine/contract/latents.ts';
import { anyJson, createdAt } from './columns.ts';
import { datasets, examples } from './dataset.ts';
import { saes } from './sae.ts';

const saeId = () =>
  uuid('sae_id')
    .notNull()
    .references(() => saes.id, { onDelete: 'cascade' });
const datasetId = () =>
  uuid('dataset_id')
    .notNull()
    .references(() => datasets.id, { onDelete: 'cascade' });

/** That all latents were measured, and on how many prompts. */
export const latentSurveys = pgTable(
  'latent_surveys',
  {
    saeId: saeId(),
    datasetId: datasetId(),
    prompts: integer('prompts').notNull(),
    createdAt: createdAt(),
  },
  (t) => [primaryKey({ columns: [t.saeId, t.datasetId] }), index('latent_surveys_dataset').on(t.datasetId)],
);

export const latentStats = pgTable(
  'latent_stats',
  {
    saeId: uuid('sae_id').notNull(),
    datasetId: uuid('dataset_id').notNull(),
    index: integer('index').notNull(),
    /** Prompts on which it fires. */
    fired: integer('fired').notNull(),
    mean: doublePrecision('mean').notNull(),
    max: doublePrecision('max').notNull(),
    /** By the concept's position, on TRAIN prompts that the SAE may have learned from; NaN where not defined. */
    aurocs: doublePrecision('aurocs').array().notNull(),
    /** The same on TEST_OOD prompts. */
    heldOutAurocs: doublePrecision('held_out_aurocs').array().notNull(),
  },
  (t) => [
    primaryKey({ columns: [t.saeId, t.datasetId, t.index] }),
    foreignKey({
      name: 'latent_stats_survey',
      columns: [t.saeId, t.datasetId],
      foreignColumns: [latentSurveys.saeId, latentSurveys.datasetId],
    }).onDelete('cascade'),
    index('latent_stats_fired').on(t.saeId, t.datasetId, t.fired, t.index),
    index('latent_stats_mean').on(t.saeId, t.datasetId, t.mean, t.index),
    index('latent_stats_max').on(t.saeId, t.datasetId, t.max, t.index),
  ],
);

/** Pages of latents that somebody has looked at. */
export const latentPages = pgTable(
  'latent_pages',
  {
    saeId: saeId(),
    datasetId: datasetId(),
    index: integer('index').notNull(),
    page: anyJson('page').$type<LatentPage>().notNull(),
  },
  (t) => [
    primaryKey({ columns: [t.saeId, t.datasetId, t.index] }),
    index('latent_pages_dataset').on(t.datasetId),
  ],
);

/** A latent at every token of an example's prompt, where somebody has looked at it. */
export const latentTokens = pgTable(
  'latent_tokens',
  {
    saeId: saeId(),
    index: integer('index').notNull(),
    exampleId: uuid('example_id')
      .notNull()
      .references(() => examples.id, { onDelete: 'cascade' }),
    tokens: anyJson('tokens').$type<LatentTokens>().notNull(),
  },
  (t) => [
    primaryKey({ columns: [t.saeId, t.index, t.exampleId] }),
    index('latent_tokens_example').on(t.exampleId),
  ],
);
