/** Settings of an unsupervised baseline, in the words of the API. */
import {
  BASELINE_N_FREE,
  type BaselineSettings,
  baselineSettings,
} from '../engine/contract/baselineSettings.ts';
import { DecoderNormRef, EncoderActivationRef } from './alignmentSettings.ts';
import { addSettings } from './settings.ts';

const defaults = baselineSettings.parse({ nFree: BASELINE_N_FREE });

export const BaselineSettingsTypes = addSettings<BaselineSettings>(
  'BaselineSettings',
  'How an SAE is trained without labels, to compare an alignment with. The defaults give it the size, the activations and the number of steps of an alignment by the preset PAPER; give it the layer, the seed and the shares of that alignment.',
  {
    seed: {
      type: 'Int',
      description:
        'Seeds every random draw, also which entities are unseen; the same seed and settings give the same numbers again.',
    },
    layer: {
      type: 'Int',
      description:
        'Block whose output (`blocks.{layer}.resid_post`) is read; -1 is the stream before the first.',
    },
    nFree: { type: 'Int', description: 'Number of latents, all of them free.' },
    activation: {
      type: EncoderActivationRef,
      description: 'Non-linearity of the encoder: RELU, TOPK or BATCH_TOPK.',
    },
    k: {
      type: 'Int',
      description:
        'Latents that stay active per activation: at most so many for TOPK, on the mean of a training batch for BATCH_TOPK.',
    },
    decoderNorm: { type: DecoderNormRef, description: 'In which units latents count.' },
    sparse: { type: 'Float', description: 'Weight of mean |f| for RELU; that of reconstruction is 1.' },
    aux: {
      type: 'Float',
      description:
        'Weight of the revival of dead latents (Gao et al. 2024): the dModel / 2 strongest latents that have not fired for `deadAfter` steps rebuild what the others leave over.',
    },
    deadAfter: {
      type: 'Int',
      description: 'Training steps without firing after which a latent counts as dead for `aux`.',
    },
    steps: { type: 'Int', description: 'Number of training steps.' },
    learningRate: { type: 'Float', description: 'Learning rate of Adam.' },
    batchSize: { type: 'Int', description: 'Activations a training step.' },
    unseenShare: { type: 'Float', description: 'Share of entities that the SAE never sees.' },
    validationShare: {
      type: 'Float',
      description: 'Share of entities that the SAE never sees and that an alignment chooses alpha by.',
    },
    validateEvery: {
      type: 'Int',
      description: 'Steps between measurements of reconstruction on validation prompts.',
    },
    logEvery: { type: 'Int', description: 'Metrics are logged every this many steps.' },
  },
  (key) => (key === 'nFree' ? `${BASELINE_N_FREE} + the number of concepts` : String(defaults[key])),
);
