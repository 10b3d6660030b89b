/** What is measured of SAEs, with the definitions. */
import { swapPopulation } from '../engine/contract/swap.ts';
import { type ConceptLatent, type Faithfulness, meanConcentration } from '../runs/sae.ts';
import { conceptsByIds } from '../services/ontology.ts';
import type { SplitMeasures, SwapMeasure } from '../services/slot.ts';
import { conceptsOfRuns } from '../services/slot.ts';
import { builder } from './builder.ts';
import { conceptOfRun } from './conceptOfRun.ts';
import { finiteOrNull } from './finite.ts';
import { CATEGORY_KEPT, KNOWN, LEFT_OUT, LOOSE } from './judged.ts';
import { RateRef } from './rate.ts';
import { ConceptRef } from './refs.ts';
import { enumFrom } from './settings.ts';
import { SplitRef } from './split.ts';

export const BindingRef = builder.objectRef<SplitMeasures>('Binding').implement({
  description:
    'How far each slot fires for its concept and for nothing else. A prompt asks about one concept; its strongest slot is compared with that concept’s. Of an unsupervised baseline, each concept’s best latent (`conceptLatents`), divided by its mean activation, stands in its slot’s place.',
  fields: (t) => ({
    split: t.field({ type: SplitRef, description: 'On which prompts.', resolve: (m) => m.split }),
    examples: t.exposeInt('examples', { description: 'Number of prompts measured.' }),
    accuracy: t.exposeFloat('accuracy', {
      description:
        "Share of prompts whose strongest slot is their concept's, 0–1. Chance is 1 / number of concepts.",
    }),
    rate: t.field({
      type: RateRef,
      description: '`accuracy` with its uncertainty.',
      resolve: ({ examples, accuracy }) => ({ trials: examples, successes: Math.round(accuracy * examples) }),
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
        "Share of prompts whose answer's first token is the one that the bound slot's value head (slot activation → `valueHidden` → ReLU → tokens) names, 0–1; null where no value head was trained. It names one of the tokens with which the dataset's answers begin, or any of a vocabulary of less than ten times as many.",
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

const SPREAD =
  'p is the share of a latent in the concept’s mean activations, of which negative ones count 0 (EffFeat and Top1Conc of the paper)';
const UNMEASURED = 'null where none is above 0, and of runs older than the measure';

interface ConceptSpread {
  measures: SplitMeasures;
  concept: number;
}

const ConceptConcentration = builder.objectRef<ConceptSpread>('ConceptConcentration').implement({
  description: `Over how many latents one concept is spread; ${SPREAD}.`,
  fields: (t) => ({
    concept: t.field(
      conceptOfRun('The concept.', ({ measures, concept }: ConceptSpread) => ({
        runId: measures.runId,
        concept,
      })),
    ),
    effFeat: t.float({
      nullable: true,
      description: 'Effective number of latents that carry it, exp(−Σ p log p), over all latents.',
      resolve: ({ measures, concept }) => measures.concentration?.[concept]?.effFeat,
    }),
    top1Conc: t.float({
      nullable: true,
      description: 'Share of the strongest of all latents, max p, 0–1.',
      resolve: ({ measures, concept }) => measures.concentration?.[concept]?.top1Conc,
    }),
    slotEffFeat: t.float({
      nullable: true,
      description: '`effFeat` over the slots alone; null of an SAE without slots.',
      resolve: ({ measures, concept }) => measures.slotConcentration?.[concept]?.effFeat,
    }),
    slotTop1Conc: t.float({
      nullable: true,
      description: '`top1Conc` over the slots alone; null of an SAE without slots.',
      resolve: ({ measures, concept }) => measures.slotConcentration?.[concept]?.top1Conc,
    }),
  }),
});

builder.objectFields(BindingRef, (t) => ({
  slotMargin: t.exposeFloat('slotMargin', {
    nullable: true,
    description:
      'Mean over the prompts of the strongest slot less the second strongest, whichever they are: how far apart slots are. Null of a single concept, and of runs older than the measure.',
  }),
  conceptValueAccuracy: t.floatList({
    nullable: true,
    description:
      '`valueAccuracy` on the prompts of each concept, in the order of `concepts`, 0–1; 0 where none asks about it. Null where no value head was trained, and of runs older than the measure.',
    resolve: ({ conceptValueAccuracy }) => conceptValueAccuracy,
  }),
  effFeat: t.float({
    nullable: true,
    description: `Effective number of latents that carry a concept, exp(−Σ p log p) over all latents, mean over the concepts; ${SPREAD}; ${UNMEASURED}.`,
    resolve: (measures) => meanConcentration(measures, 'all')?.effFeat,
  }),
  top1Conc: t.float({
    nullable: true,
    description: `Share of a concept that the strongest of all latents carries, max p, 0–1, mean over the concepts; ${SPREAD}; ${UNMEASURED}.`,
    resolve: (measures) => meanConcentration(measures, 'all')?.top1Conc,
  }),
  slotEffFeat: t.float({
    nullable: true,
    description:
      '`effFeat` over the slots alone, as the paper’s figures are: at most the number of concepts. Null of an SAE without slots.',
    resolve: (measures) => meanConcentration(measures, 'slots')?.effFeat,
  }),
  slotTop1Conc: t.float({
    nullable: true,
    description:
      '`top1Conc` over the slots alone, as the paper’s figures are: at least 1 / number of concepts. Null of an SAE without slots.',
    resolve: (measures) => meanConcentration(measures, 'slots')?.top1Conc,
  }),
  concentration: t.field({
    type: [ConceptConcentration],
    description:
      'The same concept by concept, in the order of `concepts`; empty of runs older than the measure.',
    resolve: (measures) => (measures.concentration ?? []).map((_, concept) => ({ measures, concept })),
  }),
}));

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
    TRUE_ACTIVATION: {
      description:
        'Control: no latents, but the activation of the prompt that asks the target, whatever alpha, as in a sweep: about the ceiling of any edit there. Swaps of which the dataset has no such prompt are left out.',
    },
    SUM: {
      description:
        'Control: no latents, but the sum of what the entity and the target add to an activation, whatever alpha, as in a sweep: about what one direction a concept can reach there.',
    },
  },
});

export const SwapPopulation = enumFrom(swapPopulation);

export const SwapMeasureRef = builder.objectRef<SwapMeasure>('SwapMeasure').implement({
  description:
    'How often concept swaps succeed. A swap takes a prompt about concept a of an entity, turns slot a off and slot b to alpha where the SAE was trained (`settings.positions`: at the last prompt token, or there and, with alpha 1, at every token of the answer), and lets the model go on greedily; it succeeds when the whole answer is the entity’s fact for b. Dates compare as dates, text without regard to case and surrounding blanks. Swaps whose two answers are the same are left out.',
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
    rate: t.field({
      type: RateRef,
      description: '`successRate` with its uncertainty.',
      resolve: ({ trials, successes }) => ({ trials, successes }),
    }),
    loose: t.field(LOOSE),
    categoryKept: t.field(CATEGORY_KEPT),
    known: t.field(KNOWN),
    leftOut: t.exposeInt('leftOut', { description: LEFT_OUT }),
    chosen: t.exposeBoolean('chosen', {
      description: 'Whether this alpha is the one chosen on validation.',
    }),
  }),
});

export const ConceptLatentRef = builder.objectRef<ConceptLatent>('ConceptLatent').implement({
  description:
    'The latent that stands for a concept: its slot, or in an unsupervised SAE the latent that separates it best. Separability of a latent for a concept is max(0, 2 · AUROC − 1) of its activation on the concept’s prompts against all others: 1 tells them without error, 0 no better than chance or by firing less.',
  fields: (t) => ({
    concept: t.field({
      type: ConceptRef,
      description: 'The concept.',
      resolve: async ({ conceptId }, _args, { loaders }) => (await loaders.load(conceptsByIds, conceptId))!,
    }),
    latent: t.exposeInt('latent', { description: 'Its index in the SAE; slots follow the free latents.' }),
    separability: t.float({
      nullable: true,
      description:
        'On the TRAIN prompts of entities that the SAE learned from, where an unsupervised latent is chosen, 0–1; null where all or none of them are about the concept.',
      resolve: ({ separability }) => finiteOrNull(separability),
    }),
    heldOutSeparability: t.float({
      nullable: true,
      description: 'On TEST_OOD prompts, 0–1; null where the dataset has none about the concept.',
      resolve: ({ heldOutSeparability }) => heldOutSeparability,
    }),
    meanActivation: t.exposeFloat('meanActivation', {
      description:
        'Its mean over the concept’s TRAIN prompts on which it fires; the unit in which an unsupervised latent is steered.',
    }),
    fragmentation: t.exposeInt('fragmentation', {
      description:
        'Over how many latents the concept is spread: the smallest number of latents, taken in the order of their separability on TRAIN, whose linear readout (ridge regression on TRAIN) reaches 95% of the separability that the readout of all latents reaches, both on TEST_OOD. 1 is what a slot should need. «All» are the 512 most separable.',
    }),
  }),
});

const Replacement = builder.enumType('Replacement', {
  description: 'What stands in the place of the activation at the last prompt token.',
  values: {
    CLEAN: { description: 'The activation itself.' },
    RECONSTRUCTION: { description: "The SAE's reconstruction of it." },
    MEAN: { description: 'The mean of the TRAIN activations that the SAE learned from.' },
    ZERO: { description: 'Zeros.' },
  },
});

export const FaithfulnessRef = builder.objectRef<Faithfulness>('Faithfulness').implement({
  description:
    'How the language model answers with the activation at the last prompt token, in the layer of the SAE, replaced. Asked are at most 400 of the split’s prompts, drawn by the seed; entities by which alpha is chosen are left out.',
  fields: (t) => ({
    replacement: t.field({
      type: Replacement,
      description: 'What stands in the place of the activation.',
      resolve: ({ replacement }) => replacement,
    }),
    accuracy: t.field({
      type: RateRef,
      description: 'Share of prompts whose whole greedy answer is right.',
      resolve: ({ prompts, correct }) => ({ trials: prompts, successes: correct }),
    }),
    conceptAccuracy: t.field({
      type: [RateRef],
      description:
        '`accuracy` on the prompts of each concept, in the order of the ontology; empty of runs older than the measure.',
      resolve: ({ concepts }) =>
        (concepts ?? []).map(({ prompts, correct }) => ({ trials: prompts, successes: correct })),
    }),
    crossEntropy: t.float({
      nullable: true,
      description:
        "Cross-entropy of the right answers' tokens, in nats a token; null where it is not a finite number.",
      resolve: ({ crossEntropy }) => finiteOrNull(crossEntropy),
    }),
  }),
});
