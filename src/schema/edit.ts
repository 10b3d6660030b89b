/** Edits as they were made, in what is stored of them. */
import { editAction, editPositions } from '../engine/contract/edits.ts';
import { datasetsByIds } from '../services/dataset.ts';
import { latentOf } from '../services/latent.ts';
import { conceptsByIds } from '../services/ontology.ts';
import { saesByIds } from '../services/sae.ts';
import type { NamedEdit, NamedTarget } from '../services/steering.ts';
import { builder } from './builder.ts';
import type { Context } from './context.ts';
import { SwapMethod } from './intervention.ts';
import { ConceptRef, DatasetRef, LatentRef } from './refs.ts';
import { enumFrom } from './settings.ts';

/** What belongs to an edit of this SAE. */
type Of<T> = T & { saeId: string };
type Named<K extends NamedTarget['kind']> = Extract<NamedTarget, { kind: K }>;

/** What it says, where it is of this kind. */
function as<K extends NamedTarget['kind']>(target: NamedTarget, kind: K): Named<K> | null {
  return target.kind === kind ? (target as Named<K>) : null;
}

async function readLatent(saeId: string, index: number, { loaders }: Context) {
  return latentOf((await loaders.load(saesByIds, saeId))!, index);
}

const ConceptDifference = builder.objectRef<Named<'DIFFERENCE'>>('ConceptDifference').implement({
  description:
    'A direction from one concept to another: the mean activation of prompts about the one less that of those about the other.',
  fields: (t) => ({
    of: t.field({
      type: ConceptRef,
      nullable: true,
      description: 'The concept that it points to; null once it is deleted.',
      resolve: ({ of }, _args, { loaders }) => loaders.load(conceptsByIds, of),
    }),
    from: t.field({
      type: ConceptRef,
      nullable: true,
      description: 'The concept that it comes from; null once it is deleted.',
      resolve: ({ from }, _args, { loaders }) => loaders.load(conceptsByIds, from),
    }),
    dataset: t.field({
      type: DatasetRef,
      nullable: true,
      description: 'The dataset whose prompts are meant; null once it is deleted.',
      resolve: ({ datasetId }, _args, { loaders }) => loaders.load(datasetsByIds, datasetId),
    }),
  }),
});

const EditTarget = builder.objectRef<Of<{ target: NamedTarget }>>('EditTarget').implement({
  description: 'What an edit was about, as it was named: a latent or a direction.',
  fields: (t) => ({
    concept: t.field({
      type: ConceptRef,
      nullable: true,
      description: 'The concept whose slot it was; null where it was named otherwise.',
      resolve: ({ target }, _args, { loaders }) =>
        loaders.loadMaybe(conceptsByIds, as(target, 'CONCEPT')?.conceptId ?? null),
    }),
    latent: t.field({
      type: LatentRef,
      nullable: true,
      description: 'The latent, a slot too; null for a direction.',
      resolve: ({ saeId, target }, _args, context) =>
        'latent' in target ? readLatent(saeId, target.latent, context) : null,
    }),
    difference: t.field({
      type: ConceptDifference,
      nullable: true,
      description: 'The direction from one concept to another; null for anything else.',
      resolve: ({ target }) => as(target, 'DIFFERENCE'),
    }),
    vector: t.floatList({
      nullable: true,
      description: 'The direction that was given as numbers; null for anything else.',
      resolve: ({ target }) => as(target, 'VECTOR')?.vector,
    }),
  }),
});

type Armed = NonNullable<NamedEdit['place']['armed']>;

const EditArmed = builder.objectRef<Of<Armed>>('EditArmed').implement({
  description: 'The latent by which an edit fires, its trigger.',
  fields: (t) => ({
    latent: t.field({
      type: LatentRef,
      nullable: true,
      description: "The trigger; null where it was a SWAP's source.",
      resolve: ({ saeId, latent }, _args, context) =>
        latent === null ? null : readLatent(saeId, latent, context),
    }),
    above: t.exposeFloat('above', {
      description: 'The edit was made where the trigger was above this, before any edit.',
    }),
  }),
});

const EditPlace = builder.objectRef<Of<NamedEdit['place']>>('EditPlace').implement({
  description: 'Where an edit was made.',
  fields: (t) => ({
    positions: t.field({
      type: enumFrom(editPositions),
      nullable: true,
      description: 'Which tokens; null where they were named one by one.',
      resolve: ({ positions, tokens }) => (tokens ? null : positions),
    }),
    tokens: t.intList({
      nullable: true,
      description: 'Tokens of the prompt by their position, where they were named.',
      resolve: ({ tokens }) => tokens,
    }),
    fromStep: t.exposeInt('fromStep', {
      nullable: true,
      description: 'First step; null for the first of `positions`.',
    }),
    untilStep: t.exposeInt('untilStep', { nullable: true, description: 'Last step; null for the end.' }),
    armed: t.field({
      type: EditArmed,
      nullable: true,
      description: 'By what it fired; null where it was made at all tokens of its place.',
      resolve: ({ saeId, armed }) => armed && { ...armed, saeId },
    }),
  }),
});

export const EditRef = builder.objectRef<Of<NamedEdit>>('Edit').implement({
  description: 'An edit of the residual stream as it was made, defaults filled in; see `EditInput`.',
  fields: (t) => ({
    target: t.field({
      type: EditTarget,
      description: 'What was edited; of a SWAP, what was turned on.',
      resolve: ({ saeId, target }) => ({ saeId, target }),
    }),
    source: t.field({
      type: EditTarget,
      nullable: true,
      description: 'Of a SWAP: what was turned off; null where it was the strongest slot.',
      resolve: ({ saeId, source }) => source && { saeId, target: source },
    }),
    action: t.field({
      type: enumFrom(editAction),
      description: 'What was done with the target.',
      resolve: ({ action }) => action,
    }),
    strength: t.exposeFloat('strength', {
      description: 'How much of it, before it was multiplied by alpha.',
    }),
    method: t.field({
      type: SwapMethod,
      nullable: true,
      description: 'Of a SWAP: how it was made.',
      resolve: ({ action, method }) => (action === 'SWAP' ? method : null),
    }),
    keepsError: t.exposeBoolean('keepsError', {
      description:
        'Of a latent that is SET, SCALEd or ABLATEd: whether what the SAE does not reconstruct of the activation stayed in it.',
    }),
    relative: t.exposeBoolean('relative', {
      description: "Of ADD: whether `strength` counted in the activation's own length.",
    }),
    place: t.field({
      type: EditPlace,
      description: 'Where it was made.',
      resolve: ({ saeId, place }) => ({ ...place, saeId }),
    }),
  }),
});
