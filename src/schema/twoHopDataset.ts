/** Generates questions that take two hops. */

import { twoHopSettings } from '../data/two-hop-generator.ts';
import { grokkingPreset } from '../engine/contract/grokkingPresets.ts';
import { generateTwoHopDataset } from '../services/datasetCreation.ts';
import { builder } from './builder.ts';
import { NAME, successOf } from './datasetCreation.ts';
import { withoutNulls } from './input.ts';
import { addMutation } from './mutation.ts';
import { enumFrom, settingFields } from './settings.ts';

addMutation('generateTwoHopDataset', {
  description:
    'Generates invented people on three levels, related from each to the next, with questions that follow two relations one after the other (“who is the boss of the friend of …”, answered with both people). A share of them is for training (TRAIN), the others are held out (VALIDATION): what they compose is shown in training, the composition is not.',
  scope: 'run',
  input: builder.inputType('GenerateTwoHopDatasetInput', {
    description: 'What to generate; the same settings give the same data.',
    fields: (t) => ({
      name: t.string({ required: false, description: `${NAME} Default: made of the other settings.` }),
      preset: t.field({
        type: enumFrom(grokkingPreset),
        required: false,
        description:
          'Defaults of the other settings: the questions on which a model groks by the same preset.',
      }),
      ...settingFields(t, twoHopSettings),
    }),
  }),
  success: successOf('GenerateTwoHopDatasetSuccess', 'The dataset was generated and stored.'),
  errors: ['INVALID_INPUT'],
  resolve: async (input, { db }) => ({ dataset: await generateTwoHopDataset(db, withoutNulls(input)) }),
});
