/** The three parts of a dataset. */
import { builder } from './builder.ts';

export const SplitRef = builder.enumType('Split', {
  description: 'Parts of a dataset, by what they are for.',
  values: {
    TRAIN: { description: 'What models and SAEs learn from.' },
    VALIDATION: { description: 'Held out, for choosing settings such as alpha; never reported.' },
    TEST_OOD: {
      description: 'Held-out phrasings of known facts, for reporting (out of distribution).',
    },
  },
});
