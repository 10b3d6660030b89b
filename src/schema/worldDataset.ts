/** Makes datasets of what is true of the real world, for models that know it. */
import { worldSettings } from '../data/world.ts';
import type { Dataset } from '../services/dataset.ts';
import { generateWorldDataset } from '../services/datasetCreation.ts';
import { makeLabelled } from '../services/labels.ts';
import { builder } from './builder.ts';
import { withoutNulls } from './input.ts';
import { labelInput, takeLabels } from './labels.ts';
import { addMutation } from './mutation.ts';
import { DatasetRef } from './refs.ts';
import { settingFields } from './settings.ts';

addMutation('generateWorldDataset', {
  description:
    'Makes a dataset of facts of the real world that a language model knows without fine-tuning, asked about behind a few-shot prefix: seven phrasings a relation for training (TRAIN), three held out (TEST_OOD). A fact may have several accepted answers. Facts of countries come from world-countries 5.1.0, under the Open Database License 1.0, which lies beside them in `data/world`.',
  scope: 'run',
  input: builder.inputType('GenerateWorldDatasetInput', {
    description: 'What to ask about; the same settings give the same data.',
    fields: (t) => ({
      name: t.string({
        required: false,
        description: 'Name for people, at most 200 characters. Default: made of the other settings.',
      }),
      ...labelInput(t),
      ...settingFields(t, worldSettings),
    }),
  }),
  success: builder.objectRef<{ dataset: Dataset }>('GenerateWorldDatasetSuccess').implement({
    description: 'The dataset was made and stored.',
    fields: (t) => ({
      dataset: t.field({
        type: DatasetRef,
        description: 'The stored dataset.',
        resolve: ({ dataset }) => dataset,
      }),
    }),
  }),
  errors: ['INVALID_INPUT'],
  resolve: async (input, { db }) => {
    const { labels, rest } = takeLabels(withoutNulls(input));
    return { dataset: await makeLabelled(db, 'Dataset', labels, () => generateWorldDataset(db, rest)) };
  },
});
