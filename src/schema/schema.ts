/** The whole schema: noun files add their types to the builder when they are imported. */
import { GraphQLSchema, lexicographicSortSchema, printSchema } from 'graphql';
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
import './imports.ts';
import './phases.ts';
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
import './sweepTrial.ts';
import './bindingLook.ts';
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

const DESCRIPTION = `Trains and looks into sparse autoencoders whose latents are aligned to an ontology (AlignSAE).

First steps, each a mutation whose answer has the id that the next one takes:
1. \`generateDataset\` makes people and questions about them; \`importDataset\` takes your own.
2. \`startModelRun\` trains a language model on it; \`importModel\` takes one from Hugging Face.
3. \`startAlignmentRun\` trains an SAE on the model's activations and gives each concept a slot.
4. Follow a run by \`runEvents\`, and all of them by \`runsChanged\`; both go on behind a cursor.
5. When it has ended, \`AlignmentRun.binding\`, \`slots\` and \`swaps\` say how well it went, and \`swapConcept\` edits what the model says.

Ids are Relay's: opaque, and \`node(id)\` fetches whatever they name. Lists are Relay's connections. Mutations take one \`input\` and answer with a union: ask for \`__typename\`, and for \`... on Error { message }\`.`;

/** Builds the schema from all noun files. */
export function buildSchema(): GraphQLSchema {
  const built = builder.toSchema();
  return exposeErrors(guardData(new GraphQLSchema({ ...built.toConfig(), description: DESCRIPTION })));
}

/** The schema as it is committed in `schema.graphql`. */
export function renderSchema(schema: GraphQLSchema): string {
  return `${printSchema(lexicographicSortSchema(schema))}\n`;
}
