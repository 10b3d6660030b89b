/** Interventions: concept swaps on single prompts. */
import { cellMethod, swapMethod, swapPlacement } from '../engine/contract/swap.ts';
import { examplesByIds } from '../services/dataset.ts';
import { type Intervention, interventionsByIds, listInterventions } from '../services/intervention.ts';
import { conceptsByIds } from '../services/ontology.ts';
import { runsByIds } from '../services/run.ts';
import { slotsByIndex } from '../services/slot.ts';
import { builder } from './builder.ts';
import { idOf } from './ids.ts';
import { orderInput, orderOf } from './order.ts';
import {
  AlignmentRunRef,
  ConceptRef,
  ExampleRef,
  InterventionConnection,
  InterventionRef,
  SlotRef,
} from './refs.ts';
import { enumFrom } from './settings.ts';

export const SwapMethod = enumFrom(swapMethod);
export const CellMethod = enumFrom(cellMethod);
const SwapPlacement = enumFrom(swapPlacement);

type ContinuationShape = Intervention['baseline'];

const GeneratedToken = builder.objectRef<ContinuationShape['tokens'][number]>('GeneratedToken').implement({
  description: 'A token that the model generated.',
  fields: (t) => ({
    text: t.exposeString('text', { description: 'Its text.' }),
    probability: t.exposeFloat('probability', {
      description: 'Probability that the model gave it, 0–1.',
    }),
  }),
});

export const Continuation = builder.objectRef<ContinuationShape>('Continuation').implement({
  description: 'How the model went on after the prompt, always taking the likeliest token.',
  fields: (t) => ({
    text: t.exposeString('text', { description: 'The answer, without the prompt and without the end mark.' }),
    tokens: t.field({
      type: [GeneratedToken],
      description: 'Its tokens in order.',
      resolve: (continuation) => continuation.tokens,
    }),
  }),
});

type SlotChangeShape = Intervention['slots'][number] & { runId: string };

const SlotChange = builder.objectRef<SlotChangeShape>('SlotChange').implement({
  description: 'A slot at the edited position, before and after the edit.',
  fields: (t) => ({
    slot: t.field({
      type: SlotRef,
      description: 'The slot.',
      resolve: async ({ runId, index }, _args, { loaders }) =>
        (await loaders.load(slotsByIndex, `${runId}/${index}`))!,
    }),
    before: t.exposeFloat('before', { description: 'Its activation as the model computed it.' }),
    after: t.exposeFloat('after', {
      description:
        'Its activation as it was set, or as the SAE reads it in the edited residual stream where the method edits that.',
    }),
  }),
});

builder.node(InterventionRef, {
  description:
    'A concept swap on one prompt: slot a was turned off and slot b to alpha where `placement` says, and the model went on generating.',
  id: { resolve: (intervention) => intervention.id },
  loadOne: (id, { loaders }) => loaders.load(interventionsByIds, id),
  fields: (t) => ({
    run: t.field({
      type: AlignmentRunRef,
      description: 'The alignment run whose SAE was used.',
      resolve: async ({ runId }, _args, { loaders }) => (await loaders.load(runsByIds, runId))!,
    }),
    method: t.field({
      type: SwapMethod,
      description: 'How the edit was made.',
      resolve: ({ method }) => method,
    }),
    alpha: t.exposeFloat('alpha', {
      description: "What the target's slot was set to, or the strength of the added direction.",
    }),
    armed: t.boolean({
      description: 'Whether `placement` is ARMED.',
      resolve: ({ placement }) => placement === 'ARMED',
    }),
    placement: t.field({
      type: SwapPlacement,
      description: 'Where the edit was made.',
      resolve: ({ placement }) => placement,
    }),
    alphaLater: t.exposeFloat('alphaLater', {
      nullable: true,
      description: 'Alpha at the tokens of the answer; null where they were not edited, with LAST_TOKEN.',
    }),
    sourceConcept: t.field({
      type: ConceptRef,
      description: 'The concept that was turned off.',
      resolve: async (i, _args, { loaders }) => (await loaders.load(conceptsByIds, i.sourceConceptId))!,
    }),
    targetConcept: t.field({
      type: ConceptRef,
      description: 'The concept that was turned on.',
      resolve: async (i, _args, { loaders }) => (await loaders.load(conceptsByIds, i.targetConceptId))!,
    }),
    prompt: t.exposeString('prompt', { description: 'What the model was asked.' }),
    example: t.field({
      type: ExampleRef,
      nullable: true,
      description: 'The example that the prompt comes from; null for a prompt of one’s own.',
      resolve: ({ exampleId }, _args, { loaders }) => loaders.loadMaybe(examplesByIds, exampleId),
    }),
    expectedAnswer: t.exposeString('expectedAnswer', {
      nullable: true,
      description:
        "The entity's fact for the target concept: what a perfect swap answers. Null where the dataset has none, or the entity was not named.",
    }),
    success: t.exposeBoolean('success', {
      nullable: true,
      description:
        'Whether the whole answer after the edit is `expectedAnswer`, or another value of the entity for the target (dates compare as dates, text without regard to case and surrounding blanks); null without one.',
    }),
    known: t.exposeBoolean('known', {
      nullable: true,
      description:
        'Whether the model knows both answers: unedited it answers right this prompt, and the prompt of the dataset that asks the target of the same entity in the same phrasing. Where it is false, a failure may be the model’s and not the edit’s. Null for a prompt of one’s own, where the dataset has no such prompt, and for swaps made before this was asked.',
    }),
    baseline: t.field({
      type: Continuation,
      description: 'How the model goes on without the edit.',
      resolve: ({ baseline }) => baseline,
    }),
    result: t.field({
      type: Continuation,
      description: 'How it goes on with the edit.',
      resolve: ({ result }) => result,
    }),
    slots: t.field({
      type: [SlotChange],
      description: 'All slots at the edited position, before and after, in the order of the ontology.',
      resolve: ({ runId, slots }) => slots.map((slot) => ({ ...slot, runId })),
    }),
    createdAt: t.expose('createdAt', { type: 'DateTime', description: 'When it was done.' }),
  }),
});

const InterventionFilter = builder.inputType('InterventionFilter', {
  description: 'Which interventions to list; conditions left out do not restrict.',
  fields: (t) => ({
    runId: t.id({ required: false, description: 'Those with the SAE of this alignment run.' }),
    success: t.boolean({ required: false, description: 'Those that succeeded, or that did not.' }),
    method: t.field({ type: SwapMethod, required: false, description: 'Those of this method.' }),
    sourceConceptId: t.id({ required: false, description: 'Those that turned this concept off.' }),
    targetConceptId: t.id({ required: false, description: 'Those that turned this concept on.' }),
    text: t.string({
      required: false,
      description:
        'Those with all these words, in capitals or not, in their prompt, in what the model said or in what was expected.',
    }),
    since: t.field({ type: 'DateTime', required: false, description: 'Those done then or later.' }),
  }),
});

const InterventionOrder = orderInput(
  'InterventionOrder',
  builder.enumType('InterventionOrderField', {
    description: 'By what interventions can be ordered; of equals the one that was done first comes first.',
    values: {
      CREATED_AT: { description: 'When they were done.' },
      ALPHA: { description: 'Their alpha.' },
      METHOD: { description: 'The name of their method.' },
    } as const,
  }),
);

builder.queryField('interventions', (t) =>
  t.connection(
    {
      type: InterventionRef,
      description: 'Interventions, newest first unless another order is given.',
      args: {
        filter: t.arg({ type: InterventionFilter, required: false, description: 'Which interventions.' }),
        orderBy: t.arg({ type: InterventionOrder, required: false, description: 'In which order.' }),
      },
      resolve: (_root, { filter, orderBy, ...args }, { db }) => {
        const decode = (key: 'runId' | 'sourceConceptId' | 'targetConceptId', type: string) =>
          filter?.[key] == null ? null : idOf(filter[key], [type], ['filter', key]);
        const ids = {
          runId: decode('runId', 'AlignmentRun'),
          sourceConceptId: decode('sourceConceptId', 'Concept'),
          targetConceptId: decode('targetConceptId', 'Concept'),
        };
        return listInterventions(db, { ...filter, ...ids }, args, orderOf(orderBy));
      },
    },
    InterventionConnection,
  ),
);
