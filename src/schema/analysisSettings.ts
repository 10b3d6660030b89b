/** Settings of the analysis of a two-hop model, in the words of the API. */
import { type GrokSettings, grokSettings } from '../engine/contract/analysisSettings.ts';
import { PresetRef } from './alignmentSettings.ts';
import { addSettings } from './settings.ts';

const DEFAULTS = grokSettings.parse({});

export const AnalysisSettingsTypes = addSettings<GrokSettings>(
  'CheckpointAnalysisSettings',
  'How a checkpoint is analysed: an SAE is trained on its activations at the two positions, with a slot a relation.',
  {
    seed: { type: 'Int', description: 'Seeds every random draw; the same for all checkpoints of a run.' },
    layer: {
      type: 'Int',
      description: 'Block whose residual stream is read, from 0; -1 is the stream before the first block.',
    },
    preset: {
      type: PresetRef,
      description: 'The loss terms that the SAE is trained by, and its activation.',
    },
    withheldPairShare: {
      type: 'Float',
      description:
        'Share of pairs of entity and relation that no counterfactual leads to, so that swaps can be judged by them.',
    },
    nFree: { type: 'Int', description: 'Free latents of the SAE.' },
    shared: {
      type: 'Boolean',
      description: 'One SAE over both positions, with one slot a relation; otherwise one SAE for each.',
    },
    pretrainSteps: { type: 'Int', description: 'Training steps of the SAE without labels.' },
    posttrainSteps: { type: 'Int', description: 'Training steps of the SAE with labels.' },
    maxQuestions: {
      type: 'Int',
      description: 'Most questions of a split that are measured on, drawn by the seed.',
    },
  },
  (key) => String(DEFAULTS[key]),
);
