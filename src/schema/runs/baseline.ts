/** Runs that train an SAE without labels, to compare alignments with. */

import { startBaselineRun } from '../../runs/baseline.ts';
import { settingsOf } from '../../services/run.ts';
import { BaselineSettingsTypes } from '../baselineSettings.ts';
import { builder } from '../builder.ts';
import { namedInput } from '../labels.ts';
import {
  addRunNode,
  addStart,
  corpusInput,
  corpusOf,
  priorityInput,
  studiedInput,
  studiedOf,
} from './node.ts';
import { saeFields } from './sae.ts';

export const baselineRun = addRunNode('BASELINE', {
  does: 'Trains an SAE of the same size on the same activations without labels, to compare with; a `BaselineRun`.',
  description:
    'A run that trains a sparse autoencoder (SAE) without labels on the activations of a frozen language model: what an alignment must be compared with.',
  fields: (t) => ({
    settings: t.field({
      type: BaselineSettingsTypes.output,
      description: 'How the SAE is trained.',
      resolve: (run) => settingsOf(run, 'BASELINE'),
    }),
    ...saeFields(t, {
      layer:
        'Block whose output (`blocks.{layer}.resid_post`) is read; 0 is the first, and -1 the stream before it (`blocks.0.resid_pre`, the embeddings).',
      conceptLatents:
        'The best single latent of each concept, in the order of the ontology; empty before the end.',
      binding: "How well each concept's best latent fires for it and for nothing else; null before the end.",
    }),
  }),
});

addStart('startBaselineRun', {
  description:
    'Queues the training of an SAE without labels on a model’s activations, to compare an alignment with, and returns its run at once.',
  input: builder.inputType('StartBaselineRunInput', {
    description: 'Which model to study on which prompts, and how.',
    fields: (t) => ({
      ...namedInput(t),
      ...priorityInput(t),
      ...studiedInput(
        t,
        'The dataset whose prompts are asked. Default: the one that the model was trained on.',
      ),
      ...corpusInput(t, '`trainOn`'),
      settings: t.field({
        type: BaselineSettingsTypes.input,
        required: false,
        description: 'How to train.',
      }),
    }),
  }),
  start: (db, { settings, ...named }) =>
    startBaselineRun(db, { ...studiedOf(named), ...corpusOf(named), settings }),
});
