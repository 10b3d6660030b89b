/** Slots: the latents of an SAE that are dedicated to concepts. */

import { invalidInput } from '../errors.ts';
import { examplesByIds } from '../services/dataset.ts';
import { conceptsByIds } from '../services/ontology.ts';
import { runsByIds } from '../services/run.ts';
import { bindingHistories, measuresOfRuns, type Slot, slotsByIds } from '../services/slot.ts';
import { builder } from './builder.ts';
import { MetricPointRef } from './metrics.ts';
import { AlignmentRunRef, ConceptRef, ExampleRef, SlotRef } from './refs.ts';
import { SplitRef } from './split.ts';

const SlotExample = builder.objectRef<Slot['topExamples'][number]>('SlotExample').implement({
  description: 'A prompt on which a slot fires.',
  fields: (t) => ({
    activation: t.exposeFloat('activation', {
      description: "The slot's activation at the last prompt token; around 1 where it is bound.",
    }),
    prompt: t.string({
      description: 'Text of the prompt.',
      resolve: async ({ promptId }, _args, { loaders }) =>
        (await loaders.load(examplesByIds, promptId))?.prompt ?? '',
    }),
    example: t.field({
      type: ExampleRef,
      nullable: true,
      description: 'The example of the dataset that the prompt comes from.',
      resolve: ({ promptId }, _args, { loaders }) => loaders.load(examplesByIds, promptId),
    }),
  }),
});

const SlotToken = builder.objectRef<Slot['topTokens'][number]>('SlotToken').implement({
  description: 'A token that a slot makes more likely.',
  fields: (t) => ({
    token: t.exposeString('token', { description: 'Text of the token.' }),
    score: t.exposeFloat('score', {
      description:
        "Logit lens: the slot's decoder column times the model's unembedding, at this token. Higher is more raised; comparable within a slot.",
    }),
  }),
});

builder.node(SlotRef, {
  description:
    'A latent of an SAE that is dedicated to one concept: it should fire when the concept is asked about, and for nothing else.',
  id: { resolve: (slot) => slot.id },
  loadOne: (id, { loaders }) => loaders.load(slotsByIds, id),
  fields: (t) => ({
    index: t.exposeInt('index', {
      description: "Number of the latent in the SAE: `nFree` + the concept's position.",
    }),
    concept: t.field({
      type: ConceptRef,
      description: 'The concept that it is dedicated to.',
      resolve: async (slot, _args, { loaders }) => (await loaders.load(conceptsByIds, slot.conceptId))!,
    }),
    run: t.field({
      type: AlignmentRunRef,
      description: 'The alignment run that trained it.',
      resolve: async (slot, _args, { loaders }) => (await loaders.load(runsByIds, slot.runId))!,
    }),
    bindingAccuracy: t.float({
      nullable: true,
      description:
        'Share of the prompts about its concept on which it is the strongest slot, 0–1; null where the split has no prompts. How well the concept is bound: 1 is perfect, 1 / number of concepts is chance.',
      args: { split: t.arg({ type: SplitRef, required: true, description: 'Which prompts.' }) },
      resolve: async (slot, { split }, { loaders }) => {
        const measures = await loaders.load(measuresOfRuns, slot.runId);
        const concept = await loaders.load(conceptsByIds, slot.conceptId);
        return measures.find((m) => m.split === split)?.conceptAccuracy[concept!.position];
      },
    }),
    bindingHistory: t.field({
      type: [MetricPointRef],
      description:
        'Share of the validation prompts about its concept on which it was the strongest slot, at each look that post-training took; the metric `validation/binding/<concept key>`, thinned to 500 points.',
      complexity: { field: 20, multiplier: 20 },
      resolve: async (slot, _args, { loaders }) => {
        const concept = await loaders.load(conceptsByIds, slot.conceptId);
        return loaders.load(bindingHistories, `${slot.runId}/${concept!.key}`);
      },
    }),
    topExamples: t.field({
      type: [SlotExample],
      description: 'The prompts on which it fires most, strongest first.',
      complexity: ({ first }) => ({ field: 1, multiplier: Math.max(0, first ?? 5) }),
      args: { first: t.arg.int({ defaultValue: 5, description: 'At most this many.' }) },
      resolve: (slot, { first }) => firstOf(slot.topExamples, first ?? 5),
    }),
    topTokens: t.field({
      type: [SlotToken],
      description: 'The tokens that it makes most likely, strongest first; none for a model without weights.',
      complexity: ({ first }) => ({ field: 1, multiplier: Math.max(0, first ?? 10) }),
      args: { first: t.arg.int({ defaultValue: 10, description: 'At most this many.' }) },
      resolve: (slot, { first }) => firstOf(slot.topTokens, first ?? 10),
    }),
  }),
});

function firstOf<T>(items: readonly T[], first: number): readonly T[] {
  if (first >= 0) return items.slice(0, first);
  throw invalidInput(['first'], `first must be at least 0, got ${first}`);
}
