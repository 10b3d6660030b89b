/** Makes datasets of what is true of the real world, for models that know it. */
import { worldSettings } from '../data/world.ts';
import { generateWorldDataset } from '../services/datasetCreation.ts';
import { makeLabelled } from '../services/labels.ts';
import { builder } from './builder.ts';
import { NAME, successOf } from './datasetCreation.ts';
import { withoutNulls } from './input.ts';
import { labelInput, takeLabels } from './labels.ts';
import { addMutation } from './mutation.ts';
import { settingFields } from './settings.ts';

addMutation('generateWorldDataset', {
  description:
    'Makes a dataset of facts of the real world that a language model knows without fine-tuning, asked about behind a few-shot prefix: seven phrasings a relation for training (TRAIN), three held out (TEST_OOD). A fact may have several accepted answers. Facts of countries come from world-countries 5.1.0, under the Open Database License 1.0, which lies beside them in `data/world`.',
  scope: 'run',
  input: builder.inputType('GenerateWorldDatasetInput', {
    description: 'What to ask about; the same settings give the same data.',
    fields: (t) => ({
      name: t.string({ required: false, description: `${NAME} Default: made of the other settings.` }),
      ...labelInput(t),
      ...settingFields(t, worldSettings),
    }),
  }),
  success: successOf('GenerateWorldDatasetSuccess', 'The dataset was made and stored.'),
  errors: ['INVALID_INPUT'],
  resolve: async (input, { db }) => {
    const { labels, rest } = takeLabels(withoutNulls(input));
    return { dataset: await makeLabelled(db, 'Dataset', labels, () => generateWorldDataset(db, rest)) };
  },
});
