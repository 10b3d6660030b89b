/** Runs that train an SAE and bind its slots to the concepts of an ontology. */

import { startAlignmentRun } from '../../runs/alignment.ts';
import { pageInterventionsOfRuns } from '../../services/intervention.ts';
import { resultOf, settingsOf } from '../../services/run.ts';
import { knocksOfRuns, pageSlotsOfRuns, swapsOfRuns } from '../../services/slot.ts';
import { AlignmentSettingsTypes } from '../alignmentSettings.ts';
import { builder } from '../builder.ts';
import { KnockEdit, SlotKnockRef } from '../knock.ts';
import { namedInput } from '../labels.ts';
import { SwapControl, SwapMeasureRef, SwapPopulation } from '../measures.ts';
import { InterventionConnection, InterventionRef, SlotConnection, SlotRef } from '../refs.ts';
import { SplitRef } from '../split.ts';
import {
  addRunNode,
  addStart,
  corpusInput,
  corpusOf,
  pretrainedInput,
  pretrainedOf,
  priorityInput,
  studiedInput,
  studiedOf,
} from './node.ts';
import { saeFields } from './sae.ts';

export const alignmentRun = addRunNode('ALIGNMENT', {
  does: 'Trains an SAE on a model’s activations and binds its slots to concepts; an `AlignmentRun`.',
  description:
    'A run that trains a sparse autoencoder (SAE) on the activations of a frozen language model and dedicates one latent, a slot, to each concept of an ontology.',
  fields: (t) => ({
    settings: t.field({
      type: AlignmentSettingsTypes.output,
      description: 'How the SAE is trained.',
      resolve: (run) => settingsOf(run, 'ALIGNMENT'),
    }),
    ...saeFields(t, {
      layer:
        'Block whose output (`blocks.{layer}.resid_post`) is read and edited; 0 is the first, and -1 the stream before it (`blocks.0.resid_pre`, the embeddings).',
      conceptLatents:
        'How well each slot separates its concept, and over how many of all latents the concept is spread, in the order of the ontology; empty before the end.',
      binding: 'How well slots fire for their concepts and for nothing else; null before the end.',
    }),
    chosenAlpha: t.float({
      nullable: true,
      description:
        'The alpha with the most successful swaps on validation entities, the default of `swapConcept`; null before the end, and where the dataset allows no swap.',
      resolve: (run) => resultOf(run, 'ALIGNMENT')?.chosenAlpha,
    }),
    knocks: t.field({
      type: [SlotKnockRef],
      description:
        'What each slot does to answers by itself, in the order of the ontology; empty before the end, for a model without weights or a dataset without facts, and of runs older than the measure.',
      args: { edit: t.arg({ type: KnockEdit, required: false, description: 'Only this edit.' }) },
      complexity: { field: 10, multiplier: 12 },
      resolve: async (run, { edit }, { loaders }) =>
        (await loaders.load(knocksOfRuns, run.id)).filter((knock) => (edit ?? knock.edit) === knock.edit),
    }),
    bestStep: t.int({
      nullable: true,
      description: 'Step of the second stage whose weights were kept; null before the end.',
      resolve: (run) => resultOf(run, 'ALIGNMENT')?.bestStep,
    }),
    swaps: t.field({
      type: [SwapMeasureRef],
      description:
        'How often concept swaps succeed, next to the same swaps with random latents; empty before the end.',
      args: {
        control: t.arg({ type: SwapControl, required: false, description: 'Only swaps with these latents.' }),
        population: t.arg({
          type: SwapPopulation,
          required: false,
          description: 'Only swaps on these entities.',
        }),
        split: t.arg({ type: SplitRef, required: false, description: 'Only swaps on these phrasings.' }),
        chosen: t.arg.boolean({
          required: false,
          description: 'True: only those at the alpha that was chosen on validation.',
        }),
      },
      resolve: async (run, { control, population, split, chosen }, { loaders }) =>
        (await loaders.load(swapsOfRuns, run.id)).filter(
          (swap) =>
            (control == null || swap.control === control) &&
            (population == null || swap.population === population) &&
            (split == null || swap.split === split) &&
            (chosen == null || swap.chosen === chosen),
        ),
    }),
    slots: t.connection(
      {
        type: SlotRef,
        description: 'Its slots, one a concept, in the order of the ontology; empty before the end.',
        resolve: (run, args, { loaders }) => loaders.loadPage(pageSlotsOfRuns, run.id, args),
      },
      SlotConnection,
    ),
    interventions: t.connection(
      {
        type: InterventionRef,
        description: 'The concept swaps that were done with its SAE, newest first.',
        resolve: (run, args, { loaders }) => loaders.loadPage(pageInterventionsOfRuns, run.id, args),
      },
      InterventionConnection,
    ),
  }),
});

addStart('startAlignmentRun', {
  description:
    'Queues the training of an SAE on a model’s activations, aligned to the concepts of a dataset, and returns its run at once.',
  input: builder.inputType('StartAlignmentRunInput', {
    description: 'Which model to study on which prompts, and how.',
    fields: (t) => ({
      ...namedInput(t),
      ...priorityInput(t),
      ...studiedInput(
        t,
        'The dataset whose prompts are asked and whose concepts get slots. Default: the one that the model was trained on.',
      ),
      ...corpusInput(t, '`pretrainOn` or `silenceOn`'),
      ...pretrainedInput(t),
      settings: t.field({
        type: AlignmentSettingsTypes.input,
        required: false,
        description:
          'How to train; whatever is left out comes from the preset, PAPER unless another is named.',
      }),
    }),
  }),
  start: (db, { settings, ...named }) =>
    startAlignmentRun(db, {
      ...studiedOf(named),
      ...corpusOf(named),
      ...pretrainedOf(named),
      settings,
    }),
});
