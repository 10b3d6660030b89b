/** Settings of an alignment run, in the words of the API. */
import { ALIGNMENT_PRESETS } from '../engine/contract/alignmentPresets.ts';
import type { AlignmentSettings, LossWeights } from '../engine/contract/alignmentSettings.ts';
import { builder } from './builder.ts';
import { addSettings } from './settings.ts';

type Stage = AlignmentSettings['pretrain'];

const { PAPER, COUNTERFACTUAL } = ALIGNMENT_PRESETS;

export const PresetRef = builder.enumType('Preset', {
  description: 'Named settings of an alignment run, from which single settings may differ.',
  values: {
    PAPER: {
      description:
        "The loss terms of the paper's curriculum (arXiv 2512.02004) but for `indep`, whose weight is 0, and nothing else.",
    },
    COUNTERFACTUAL: {
      description:
        'An extension of ours: after setting slot a to 0 and slot b to 1, the decoded activation must match that of the same entity’s prompt about b. Needs nothing that the dataset does not have; swaps succeed more often.',
    },
  },
});

export const EncoderActivationRef = builder.enumType('EncoderActivation', {
  description: "Non-linearity of the SAE's encoder, applied to the free latents; slots are linear.",
  values: {
    LINEAR: { description: "None, as in the authors' code." },
    RELU: { description: 'Negative values become 0.' },
    TOPK: {
      description: 'Of each activation, all but the `k` largest values become 0, and so do negative ones.',
    },
    BATCH_TOPK: {
      description:
        'Of a training batch, all but the k · batchSize largest values become 0, and so do negative ones; afterwards, values up to a threshold become 0: the mean over training batches of the smallest value kept.',
    },
  },
});

export const DecoderNormRef = builder.enumType('DecoderNorm', {
  description: 'In which units free latents count for sparsity and among the k largest.',
  values: {
    FREE: { description: 'In their own: how long their decoder rows are is left to training.' },
    UNIT: {
      description:
        'In units of what they write into the activation: their decoder rows are kept at length 1, so that sparsity cannot be had by small latents with long rows. Slots stay as they are.',
    },
  },
});

const PostTrainingMode = builder.enumType('PostTrainingMode', {
  description: 'What the second stage trains.',
  values: {
    JOINT: { description: 'The SAE and the value heads together, with all loss terms.' },
    SEPARATE_ACTIVATION: { description: 'The SAE only, without the value term.' },
    SEPARATE_VALUE: { description: 'The value heads only, with the SAE frozen.' },
  },
});

/** Words the default of each preset; one value where they agree. */
function presetDefault(pick: (preset: AlignmentSettings) => unknown): string {
  const [paper, counterfactual] = [PAPER, COUNTERFACTUAL].map((p) => show(pick(p)));
  return paper === counterfactual ? paper! : `${paper} in PAPER, ${counterfactual} in COUNTERFACTUAL`;
}

function show(value: unknown): string {
  return Array.isArray(value) ? `[${value.join(', ')}]` : String(value);
}

const LossWeightsTypes = addSettings<LossWeights>(
  'LossWeights',
  'Weights of the loss terms; 0 leaves a term out. `h` is an activation, `z = [f | s]` its code with free latents f and slots s, `ĥ` its reconstruction.',
  {
    recon: { type: 'Float', description: 'Mean squared error of ĥ against h.' },
    sparse: {
      type: 'Float',
      description: 'Mean |f|; left out for TOPK and BATCH_TOPK, where k is the sparsity.',
    },
    aux: {
      type: 'Float',
      description:
        'Revival of dead latents (Gao et al. 2024): the dModel / 2 strongest latents that have not fired for `deadAfter` steps rebuild ĥ − h by themselves, mean squared error, in both stages. No effect on LINEAR, where none is ever dead.',
    },
    bindMse: { type: 'Float', description: "Binding: mean squared error of s to the concept's one-hot." },
    bindCrossEntropy: {
      type: 'Float',
      description: 'Binding: cross-entropy of `bindLogitScale · s` as logits against the concept.',
    },
    bindLogitScale: {
      type: 'Float',
      description: 'Factor on the slots in `bindCrossEntropy`; not a weight.',
    },
    indep: {
      type: 'Float',
      description: 'Independence: mean squared off-diagonal covariance among free latents.',
    },
    ortho: {
      type: 'Float',
      description: 'Orthogonality: mean squared cross-covariance of slots and free latents.',
    },
    value: {
      type: 'Float',
      description: "Cross-entropy of the answer's first token from the bound slot's value head.",
    },
    counterfactual: {
      type: 'Float',
      description:
        'Extension: after a swap, the decoded activation against that of the same entity’s prompt about the target concept.',
    },
    silence: {
      type: 'Float',
      description: 'Extension: all slots against 0 at positions where no concept is in play.',
    },
  },
  (key) => presetDefault((preset) => preset.weights[key]),
);

function addStage(name: string, description: string, stageOf: (preset: AlignmentSettings) => Stage) {
  return addSettings<Stage>(
    name,
    description,
    {
      steps: { type: 'Int', description: 'Number of training steps; 0 leaves the stage out.' },
      learningRate: { type: 'Float', description: 'Learning rate of Adam.' },
      batchSize: { type: 'Int', description: 'Activations a training step.' },
    },
    (key) => presetDefault((preset) => stageOf(preset)[key]),
  );
}

export const AlignmentSettingsTypes = addSettings<AlignmentSettings>(
  'AlignmentSettings',
  'How an SAE is trained and aligned to the concepts of an ontology: first without labels, then with slots bound to concepts.',
  {
    seed: {
      type: 'Int',
      description: 'Seeds every random draw; the same seed and settings give the same numbers again.',
    },
    preset: { type: PresetRef, description: 'Where the settings left out are taken from.' },
    layer: {
      type: 'Int',
      description:
        'Block whose output (`blocks.{layer}.resid_post`, the residual stream) is read and edited; 0 is the first, and -1 the stream before it (`blocks.0.resid_pre`, the embeddings).',
    },
    nFree: {
      type: 'Int',
      description: 'Number of free latents; a slot for each concept comes behind them.',
    },
    activation: { type: EncoderActivationRef, description: 'Non-linearity of the encoder.' },
    k: {
      type: 'Int',
      description:
        'Free latents that stay active per activation: at most so many for TOPK, on the mean of a training batch for BATCH_TOPK.',
    },
    decoderNorm: { type: DecoderNormRef, description: 'In which units free latents count.' },
    deadAfter: {
      type: 'Int',
      description:
        'Training steps without firing after which a free latent counts as dead for `weights.aux`.',
    },
    mode: { type: PostTrainingMode, description: 'What the second stage trains.' },
    orthoStopSlots: {
      type: 'Boolean',
      description: 'Whether the gradient of `ortho` stops at the slots, so that it cannot shrink them.',
    },
    weights: { type: LossWeightsTypes, description: 'Weights of the loss terms.' },
    mixEntities: {
      type: 'Boolean',
      description:
        'Extension: whether the counterfactual term also learns from points between the activations of two entities (mixup), which helps with entities that it never saw.',
    },
    withheldPairShare: {
      type: 'Float',
      description:
        'Share of (entity, concept) pairs, 0–0.9, that no counterfactual leads to, so that swaps there show what was not taught.',
    },
    withheldTargets: {
      type: ['String'],
      description: 'Keys of concepts that no counterfactual leads to.',
    },
    pretrain: {
      type: addStage(
        'PretrainStage',
        'The first stage: reconstruction and sparsity, no labels.',
        (p) => p.pretrain,
      ),
      description: 'The first stage.',
    },
    posttrain: {
      type: addStage('PosttrainStage', 'The second stage: all loss terms, with labels.', (p) => p.posttrain),
      description: 'The second stage.',
    },
    valueHidden: { type: 'Int', description: "Hidden width of a slot's value head." },
    unseenShare: {
      type: 'Float',
      description: 'Share of entities that the SAE never sees, on which swaps are reported.',
    },
    validationShare: {
      type: 'Float',
      description: 'Share of entities that the SAE never sees, on which alpha is chosen.',
    },
    alphas: {
      type: ['Float'],
      description: 'Alphas tried; the best on validation is the one reported on unseen entities.',
    },
    swapTrials: { type: 'Int', description: 'Swaps tried for each alpha and population.' },
    validateEvery: {
      type: 'Int',
      description: 'Steps of the second stage between measurements by which the best weights are kept.',
    },
    logEvery: { type: 'Int', description: 'Metrics are logged every this many steps.' },
  },
  (key) =>
    ['weights', 'pretrain', 'posttrain'].includes(key) ? null : presetDefault((preset) => preset[key]),
);
