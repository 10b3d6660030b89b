/** What swaps at the hops of two-hop questions reach. */
import type { HopSwap, HopSwapSummary } from '../runs/hopSwap.ts';
import { builder } from './builder.ts';
import { conceptOfRun } from './conceptOfRun.ts';
import { CellMethod } from './intervention.ts';
import { RateRef } from './rate.ts';

export const HopSwapEdit = builder.enumType('HopSwapEdit', {
  description: 'What stands for the relations in a swap: the slots, or a control.',
  values: {
    CONCEPT: { description: 'The bound slots: the source’s is set to 0 and the target’s to alpha.' },
    UNSUPERVISED_LATENT: {
      description:
        'The best single latent that an unsupervised SAE as large, trained on the same activations, has for each relation; alpha counts in its mean activation.',
    },
    RANDOM_LATENT: {
      description:
        'Random free latents of the same SAE, drawn for each relation; alpha counts in their mean activation.',
    },
    MEAN_DIFFERENCE: {
      description:
        'No SAE: the difference of the mean activations of the two relations, times alpha, is added.',
    },
    TRUE_ACTIVATION: {
      description:
        'No SAE: the activations of the question that asks the target in the place of the source, at the same tokens. About the ceiling of any edit there. Only of questions that name their relations by their labels. No isolation.',
    },
    SUM: {
      description:
        'No SAE: at each token the sum, by least squares on TRAIN questions, of what the target adds and of what the rest adds: whose relation it is, or at the relation’s own token the other relation. About what one column a relation can reach. No isolation.',
    },
  } as const,
});

const HopSwapAlpha = builder.objectRef<HopSwap['choosing'][number]>('HopSwapAlpha').implement({
  description: 'How an alpha did on TRAIN questions.',
  fields: (t) => ({
    alpha: t.exposeFloat('alpha', { description: 'The alpha.' }),
    success: t.field({
      type: RateRef,
      description: 'Swaps on TRAIN questions, to pairs that were shown.',
      resolve: ({ trials, successes }) => ({ trials, successes }),
    }),
  }),
});

interface RelationSwaps {
  runId: string;
  counts: NonNullable<HopSwap['relations']>[number];
}

const rateOfSide = (side: 'source' | 'target', pairs: 'shown' | 'withheld', description: string) => ({
  type: RateRef,
  description,
  resolve: ({ counts }: RelationSwaps) => counts[side][pairs],
});

const HopSwapRelation = builder.objectRef<RelationSwaps>('HopSwapRelation').implement({
  description: 'Swaps at one hop that turn a relation off or on.',
  fields: (t) => ({
    relation: t.field(
      conceptOfRun('The relation.', ({ runId, counts }: RelationSwaps) => ({
        runId,
        concept: counts.relation,
      })),
    ),
    shownAsSource: t.field(
      rateOfSide('source', 'shown', 'Those that turn it off, to pairs that were shown.'),
    ),
    withheldAsSource: t.field(rateOfSide('source', 'withheld', 'Those that turn it off, to withheld pairs.')),
    shownAsTarget: t.field(rateOfSide('target', 'shown', 'Those that turn it on, to pairs that were shown.')),
    withheldAsTarget: t.field(rateOfSide('target', 'withheld', 'Those that turn it on, to withheld pairs.')),
  }),
});

export const HopSwapResultRef = builder.objectRef<HopSwap>('HopSwapResult').implement({
  description:
    'One method of one edit at one hop, on held-out questions, at the alpha that TRAIN chose. Swaps that lead over a fact which no TRAIN question follows and no TRAIN text states are left out: the model cannot know where they end.',
  fields: (t) => ({
    hop: t.exposeInt('hop', {
      description:
        '1: behind the question; the answer is to follow the target from E1, so both its parts may change. 2: behind E2, which stays; E3 is to follow the target.',
    }),
    edited: t.field({ type: HopSwapEdit, description: 'What is edited.', resolve: (r) => r.edited }),
    method: t.field({
      type: CellMethod,
      description: 'How the edit is made.',
      resolve: ({ method }) => method,
    }),
    alpha: t.exposeFloat('alpha', { description: 'The alpha that did best on TRAIN questions.' }),
    shown: t.field({
      type: RateRef,
      description:
        'Swaps whose whole answer is the target’s, to pairs of entity and relation that the SAE’s counterfactuals may have led to.',
      resolve: (r) => ({ trials: r.shownTrials, successes: r.shownSuccesses }),
    }),
    withheld: t.field({
      type: RateRef,
      description: 'The same to pairs withheld from the counterfactuals (`withheldPairShare`).',
      resolve: (r) => ({ trials: r.withheldTrials, successes: r.withheldSuccesses }),
    }),
    isolation: t.field({
      type: RateRef,
      description:
        'Questions that ask about the source at neither hop and that the model answers rightly, whose answer the armed swap (ready at every position, firing where the source is on) leaves as it is.',
      resolve: (r) => ({ trials: r.otherQuestions, successes: r.otherQuestionsKept }),
    }),
    relations: t.field({
      type: [HopSwapRelation],
      description:
        '`shown` and `withheld` relation by relation, in the order of the ontology; empty of runs older than the measure.',
      complexity: { field: 1, multiplier: 10 },
      resolve: ({ runId, relations }) => (relations ?? []).map((counts) => ({ runId, counts })),
    }),
    alphas: t.field({
      type: [HopSwapAlpha],
      description: 'What alpha was chosen by.',
      complexity: { field: 1, multiplier: 8 },
      resolve: ({ choosing }) => choosing,
    }),
  }),
});

export const HopSwapSummaryRef = builder.objectRef<HopSwapSummary>('HopSwapSummary').implement({
  description:
    'What the slots reach at a hop beside the unsupervised SAE’s best latents, each by the method and alpha that did best on TRAIN questions.',
  fields: (t) => ({
    hop: t.exposeInt('hop', { description: '1 or 2.' }),
    slots: t.field({
      type: HopSwapResultRef,
      nullable: true,
      description: 'The slots; null where only MEAN_DIFFERENCE was tried.',
      resolve: ({ slots }) => slots,
    }),
    unsupervised: t.field({
      type: HopSwapResultRef,
      nullable: true,
      description: 'The unsupervised latents; null where only MEAN_DIFFERENCE was tried.',
      resolve: ({ unsupervised }) => unsupervised,
    }),
    ratio: t.exposeFloat('ratio', {
      nullable: true,
      description:
        'Success of the slots on withheld pairs over that of the unsupervised latents; null without trials, or where the latter never succeeded.',
    }),
  }),
});
