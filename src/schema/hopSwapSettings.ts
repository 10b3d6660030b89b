/** Settings of two-hop swaps, in the words of the API. */
import { type HopSwapSettings, hopSwapSettings } from '../engine/contract/hopSwapSettings.ts';
import { SwapMethod } from './intervention.ts';
import { addSettings } from './settings.ts';

const DEFAULTS = hopSwapSettings.parse({});

export const HopSwapSettingsTypes = addSettings<HopSwapSettings>(
  'HopSwapSettings',
  'What a hop-swap run tries.',
  {
    methods: { type: [SwapMethod], description: 'Methods tried at either hop.' },
    alphas: {
      type: ['Float'],
      description:
        'Alphas, at most 64, of which each method keeps the one that does best on TRAIN questions; large ones are there for the controls.',
    },
    trials: {
      type: 'Int',
      description:
        'Swaps tried with each method and alpha at most: on TRAIN questions, on held-out questions to pairs that were shown, and as many to withheld ones.',
    },
  },
  (key) => JSON.stringify(DEFAULTS[key]).replaceAll('"', ''),
);
