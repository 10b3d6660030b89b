/** What two controls of a sweep learned before they edited. */
import type { DasTraining, ProbeReading } from '../engine/contract/swapSweep.ts';
import { builder } from './builder.ts';
import { RateRef } from './rate.ts';

export const LinearProbe = builder.objectRef<ProbeReading>('LinearProbeReading').implement({
  description:
    'How well a linear probe reads concepts: multinomial logistic regression on the activations that the SAE learned from (TRAIN prompts of SEEN entities).',
  fields: (t) => ({
    penalty: t.exposeFloat('penalty', {
      description:
        'Its L2 penalty: of 0.1, 0.01, 0.001 and 0.0001 the one that read best those of `chosenBy`.',
    }),
    chosenBy: t.field({
      type: RateRef,
      description:
        'Of the prompts by which an alignment’s best weights are chosen, those that it read right: validation phrasings, or else training phrasings of validation entities.',
      resolve: ({ chosenBy }) => chosenBy,
    }),
    accuracy: t.field({
      type: RateRef,
      description:
        'Of all prompts of the sweep’s population and split, those whose concept it gave the largest logit.',
      resolve: ({ probe }) => probe,
    }),
    binding: t.field({
      type: RateRef,
      description: 'The same prompts read by the slots: the strongest is the concept’s.',
      resolve: ({ slots }) => slots,
    }),
  }),
});

type Tried = DasTraining['tried'][number];

const DasTried = builder.objectRef<Tried>('DasTrained').implement({
  description: 'A subspace of so many dimensions, trained.',
  fields: (t) => ({
    dimensions: t.exposeInt('dimensions', { description: 'Its dimensions.' }),
    loss: t.exposeFloat('loss', {
      description:
        'Mean cross-entropy of the answers asked for over the last tenth of the steps, nats a token.',
    }),
    success: t.field({
      type: RateRef,
      description:
        'Swaps on VALIDATION entities that succeed, at most 200; on SEEN ones where there are none.',
      resolve: ({ trials, successes }) => ({ trials, successes }),
    }),
  }),
});

export const DasSearch = builder.objectRef<DasTraining>('DasSearch').implement({
  description: 'The search for the subspace of DAS: each size of `settings.dasDimensions` trained by itself.',
  fields: (t) => ({
    dimensions: t.exposeInt('dimensions', {
      description: 'Those that the sweep edits in: of the most successful the fewest.',
    }),
    tried: t.field({ type: [DasTried], description: 'One a size.', resolve: ({ tried }) => [...tried] }),
  }),
});
