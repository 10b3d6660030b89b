/** What an alignment run measures, with the definitions. */
import type { SplitMeasures, SwapMeasure } from '../services/slot.ts';
import { conceptsOfRuns } from '../services/slot.ts';
import { builder } from './builder.ts';
import { finiteOrNull } from './finite.ts';
import { ConceptRef } from './refs.ts';
import { SplitRef } from './split.ts';

export const BindingRef = builder.objectRef<SplitMeasures>('Binding').implement({
  description:
    'How far each slot fires for its concept and for nothing else. A prompt asks about one concept; its strongest slot is compared with that concept’s.',
  fields: (t) => ({
    split: t.field({ type: SplitRef, description: 'On which prompts.', resolve: (m) => m.split }),
    examples: t.exposeInt('examples', { description: 'Number of prompts measured.' }),
    accuracy: t.exposeFloat('accuracy', {
      description:
        "Share of prompts whose strongest slot is their concept's, 0–1. Chance is 1 / number of concepts.",
    }),
    top3: t.exposeFloat('top3', {
      description: "Share of prompts whose concept's slot is among the three strongest, 0–1.",
    }),
    top5: t.exposeFloat('top5', {
      description: "Share of prompts whose concept's slot is among the five strongest, 0–1.",
    }),
    diagonalAccuracy: t.exposeFloat('diagonalAccuracy', {
      description:
        'Sum over the best one-to-one matching of slots to concepts on `matrix`, divided by the sum of the whole matrix, 0–1: high also where slots are bound well but to the wrong concepts.',
    }),
    diagonalStrength: t.exposeFloat('diagonalStrength', {
      description:
        'Mean of the diagonal of `matrix` with each row normalised to sum to 1, 0–1: high only where slots are bound to their own concepts.',
    }),
    valueAccuracy: t.exposeFloat('valueAccuracy', {
      nullable: true,
      description:
        "Share of prompts whose answer's first token is the one that the bound slot's value head (slot activation → 256 → ReLU → vocabulary) names, 0–1; null where no value head was trained.",
    }),
    concepts: t.field({
      type: [ConceptRef],
      description: 'The concepts in the order of the rows, and of their slots in the columns, of `matrix`.',
      resolve: (measures, _args, { loaders }) => loaders.load(conceptsOfRuns, measures.runId),
    }),
    matrix: t.field({
      type: t.listRef(t.listRef('Float')),
      description:
        'Binding matrix, `[concept][slot]`: share of the prompts about the concept whose strongest slot is that slot, 0–1. Perfect binding is 1 on the diagonal and 0 elsewhere.',
      complexity: { field: 1, multiplier: 1 },
      resolve: (measures) => measures.matrix,
    }),
    conceptAccuracy: t.floatList({
      description:
        'Binding accuracy on the prompts of each concept, in the order of `concepts`, 0–1; 0 where none asks about it.',
      resolve: (measures) => measures.conceptAccuracy,
    }),
  }),
});

export const ReconstructionRef = builder.objectRef<SplitMeasures>('Reconstruction').implement({
  description: 'How well the SAE rebuilds the activations, and with how many latents.',
  fields: (t) => ({
    split: t.field({ type: SplitRef, description: 'On which prompts.', resolve: (m) => m.split }),
    examples: t.exposeInt('examples', { description: 'Number of prompts measured.' }),
    fvu: t.float({
      nullable: true,
      description:
        'Fraction of variance unexplained: squared error of the reconstruction over the variance of the activations. 0 is perfect, 1 is no better than their mean; null where the activations do not vary.',
      resolve: ({ fvu }) => finiteOrNull(fvu),
    }),
    l0: t.exposeFloat('l0', { description: 'Mean number of active free latents per activation.' }),
    deadLatents: t.exposeFloat('deadLatents', {
      description: 'Share of free latents that never fired on this split, 0–1.',
    }),
  }),
});

export const SwapControl = builder.enumType('SwapControl', {
  description: 'Which latents a measured swap edits.',
  values: {
    CONCEPT: { description: 'The slots bound to the source and the target concept.' },
    RANDOM_LATENT: {
      description:
        'Control: random free latents in their place. What this reaches owes nothing to the slots.',
    },
  },
});

export const SwapPopulation = builder.enumType('SwapPopulation', {
  description: 'The entities that the prompts of measured swaps are about.',
  values: {
    VALIDATION: {
      description: 'Entities that the SAE never saw, on which alpha is chosen; do not report these.',
    },
    UNSEEN: { description: 'Entities that the SAE never saw, and that chose nothing: the figure to report.' },
    SEEN: { description: 'Entities that the SAE was trained on.' },
  },
});

export const SwapMeasureRef = builder.objectRef<SwapMeasure>('SwapMeasure').implement({
  description:
    'How often concept swaps succeed. A swap takes a prompt about concept a of an entity, turns slot a off and slot b to alpha at the last prompt token, and lets the model go on greedily; it succeeds when the whole answer is the entity’s fact for b. Dates compare as dates, text without regard to case and surrounding blanks. Swaps whose two answers are the same are left out.',
  fields: (t) => ({
    control: t.field({
      type: SwapControl,
      description: 'Which latents are edited.',
      resolve: ({ control }) => control,
    }),
    population: t.field({
      type: SwapPopulation,
      description: 'Which entities are asked about.',
      resolve: ({ population }) => population,
    }),
    split: t.field({ type: SplitRef, description: 'Which phrasings are asked.', resolve: (m) => m.split }),
    alpha: t.exposeFloat('alpha', {
      description: "The value that the target's slot is set to; around 1 is what a bound slot has by itself.",
    }),
    trials: t.exposeInt('trials', { description: 'Number of swaps tried.' }),
    successes: t.exposeInt('successes', { description: 'Number of swaps that succeeded.' }),
    successRate: t.float({
      nullable: true,
      description: '`successes / trials`, 0–1; null without trials.',
      resolve: ({ trials, successes }) => (trials === 0 ? null : successes / trials),
    }),
    chosen: t.exposeBoolean('chosen', {
      description: 'Whether this alpha is the one chosen on validation.',
    }),
  }),
});
