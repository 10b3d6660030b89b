/** Settings of a model run, in the words of the API. */
import { type ModelSettings, modelSettings } from '../engine/contract/modelSettings.ts';
import { addSettings } from './settings.ts';

const DEFAULTS = modelSettings.parse({});

export const ModelSettingsTypes = addSettings<ModelSettings>(
  'ModelSettings',
  'How a language model is built and trained: a GPT-2-architecture transformer, next-token loss on answers and texts, AdamW with warm-up and a cosine schedule.',
  {
    seed: {
      type: 'Int',
      description:
        'Seeds every random draw of the run; the same seed and settings give the same numbers again.',
    },
    nLayers: { type: 'Int', description: 'Number of transformer blocks, 1–48.' },
    nHeads: { type: 'Int', description: 'Attention heads a block; must divide `dModel`.' },
    dModel: { type: 'Int', description: 'Width of the residual stream, at most 4096.' },
    nCtx: { type: 'Int', description: 'Longest sequence in tokens, at most 4096.' },
    initStd: {
      type: 'Float',
      nullable: true,
      description: 'Standard deviation of the initial weights; null where they are those of a model.',
    },
    steps: { type: 'Int', description: 'Number of training steps.' },
    batchSize: { type: 'Int', description: 'Sequences a training step.' },
    textShare: {
      type: 'Float',
      description: 'Share of a batch that are texts stating facts, 0–1; the rest are questions.',
    },
    learningRate: { type: 'Float', description: 'Peak learning rate, reached after the warm-up.' },
    warmupSteps: {
      type: 'Int',
      description: 'Steps over which the learning rate rises from 0 to its peak.',
    },
    finalLearningRateShare: {
      type: 'Float',
      description: 'The cosine schedule ends at this share of the peak learning rate.',
    },
    weightDecay: { type: 'Float', description: 'Decoupled weight decay of AdamW.' },
    beta1: { type: 'Float', description: 'Decay rate of AdamW for the mean of the gradients.' },
    beta2: { type: 'Float', description: 'Decay rate of AdamW for their squares.' },
    clipNorm: {
      type: 'Float',
      description: 'Global gradient norm above which the gradient is scaled down.',
    },
    logEvery: { type: 'Int', description: 'Metrics are logged every this many steps.' },
  },
  (key) => String(DEFAULTS[key]),
);
