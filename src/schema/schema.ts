/** The whole schema: noun files add their types to the builder when they are imported. */
import { type GraphQLSchema, lexicographicSortSchema, printSchema } from 'graphql';
import { builder } from './builder.ts';
import { exposeErrors } from './publicErrors.ts';
import { guardData } from './scopes.ts';
import './scalars.ts';
import './errors.ts';
import './labels.ts';
import './deletion.ts';
import './ontology.ts';
import './dataset.ts';
import './datasetCreation.ts';
import './twoHopDataset.ts';
import './worldDataset.ts';
import './corpus.ts';
import './model.ts';
import './activationImport.ts';
import './modelImport.ts';
import './run.ts';
import './runChanges.ts';
import './runEvents.ts';
import './runRow.ts';
import './runs/index.ts';
import './runs/queries.ts';
import './runs/order.ts';
import './sae.ts';
import './saeImport.ts';
import './compareRuns.ts';
import './slot.ts';
import './latent.ts';
import './latentList.ts';
import './intervention.ts';
import './conceptSwap.ts';
import './grokkingPoint.ts';
import './grokkingPoints.ts';
import './generation.ts';
import './activations.ts';
import './steering.ts';
import './engine.ts';
import './apiKey.ts';
import './audit.ts';
import './storage.ts';

/** Builds the schema from all noun files. */
export function buildSchema(): GraphQLSchema {
  return exposeErrors(guardData(builder.toSchema()));
}

/** The schema as it is committed in `schema.graphql`. */
export function renderSchema(schema: GraphQLSchema): string {
  return `${printSchema(lexicographicSortSchema(schema))}\n`;
}
