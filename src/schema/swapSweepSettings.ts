/** Settings of a swap sweep, in the words of the API. */
import { type SweepSettings, sweepSettings } from '../engine/contract/swapSweepSettings.ts';
import { builder } from './builder.ts';
import { SwapMethod } from './intervention.ts';
import { SwapPopulation } from './measures.ts';
import { addSettings } from './settings.ts';
import { SplitRef } from './split.ts';

const DEFAULTS = sweepSettings.parse({});

export const SweepControl = builder.enumType('SweepControl', {
  description: 'What a control of a sweep edits in the place of the slots.',
  values: {
    UNSUPERVISED_LATENT: {
      description:
        'The best single latent that an unsupervised SAE of the same size has for each concept; alpha counts in its mean activation.',
    },
    RANDOM_LATENT: {
      description:
        'Random free latents of the same SAE, drawn for each pair; alpha counts in their mean activation.',
    },
    MEAN_DIFFERENCE: {
      description:
        'No SAE: the difference of the mean activations of the two concepts, times alpha, is added.',
    },
  },
});

const SweepPlacement = builder.enumType('SweepPlacement', {
  description: 'Where the swaps of a sweep edit.',
  values: {
    LAST_TOKEN: { description: 'At the last prompt token, always.' },
    ARMED: {
      description:
        'At every position of prompt and answer where the source is on: its slot above 0.5, or another latent above half its mean activation.',
    },
  },
});

export const SweepSettingsTypes = addSettings<SweepSettings>(
  'SwapSweepSettings',
  'What a swap sweep tries, and on which prompts.',
  {
    seed: { type: 'Int', description: 'Seeds the draw of prompts and of random latents.' },
    methods: { type: [SwapMethod], description: 'Methods tried.' },
    alphas: {
      type: ['Float'],
      description: 'Alphas tried with every method, at most 64; large ones are there for the controls.',
    },
    controls: { type: [SweepControl], description: 'Controls measured on the same prompts.' },
    population: { type: SwapPopulation, description: 'The entities that are asked about.' },
    split: { type: SplitRef, description: 'The phrasings that are asked.' },
    withheldOnly: {
      type: 'Boolean',
      description:
        'Whether only swaps are tried that the alignment was never shown: those of `withheldPairShare` and `withheldTargets`. The pairs were withheld of SEEN entities; an UNSEEN one was never shown at all.',
    },
    placement: { type: SweepPlacement, description: 'Where success is measured; isolation is always ARMED.' },
    promptsPerPair: { type: 'Int', description: 'Swaps tried for each pair, as far as there are prompts.' },
    isolationPerPair: {
      type: 'Int',
      description:
        'Prompts about other concepts, and as many texts, on which the armed swap of each pair must change nothing, and as many texts about the source; 0 leaves isolation out.',
    },
  },
  (key) => JSON.stringify(DEFAULTS[key]).replaceAll('"', ''),
);
