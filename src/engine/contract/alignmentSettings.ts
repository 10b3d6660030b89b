/** Settings of an alignment run (both stages of the curriculum): types, ranges and what each means. */
import { z } from 'zod';
import { count, namedEnum, namedObject, number, reading, whole } from './describe.ts';
import { seed } from './seed.ts';
import { knownOnly } from './swap.ts';

export const preset = namedEnum(
  'Preset',
  'Named settings of an alignment run, from which single settings may differ.',
  {
    PAPER:
      "The loss terms of the paper's curriculum (arXiv 2512.02004), in weights and sizes by which they hold on small models. It departs from AUTHORS: binding by cross-entropy and MSE at once, `ortho` strong and without a gradient at the slots, which the coupled one shrinks, no `indep`, which costs most and changed nothing, sparsity in the first stage too, and fewer, larger steps.",
    AUTHORS:
      "The recipe of the authors' code: a first stage of reconstruction alone, then MSE binding, independence, coupled orthogonality, values, AdamW at a constant rate; 10,000 free latents, and their 50 and 100 epochs over 12,000 questions as steps of 64. Activations are centred and scaled here, theirs are raw.",
    COUNTERFACTUAL:
      'An extension of ours: after setting slot a to 0 and slot b to 1, the decoded activation must match that of the same entity’s prompt about b. Needs nothing that the dataset does not have; swaps succeed more often.',
  },
);
export const encoderActivation = namedEnum(
  'EncoderActivation',
  "Non-linearity of the SAE's encoder, applied to the free latents; slots are linear.",
  {
    LINEAR: "None, as in the authors' code.",
    RELU: 'Negative values become 0.',
    TOPK: 'Of each activation, all but the `k` largest values become 0, and so do negative ones.',
    BATCH_TOPK:
      'Of a training batch, all but the k · batchSize largest values become 0, and so do negative ones; afterwards, values up to a threshold become 0: a moving average over training batches of the smallest value kept.',
    JUMP_RELU:
      "Values up to the latent's own threshold become 0, and so do negative ones; of imported SAEs, whose thresholds training leaves as they are.",
  },
);
export const decoderNorm = namedEnum(
  'DecoderNorm',
  'In which units free latents count for sparsity and among the k largest.',
  {
    FREE: 'In their own: how long their decoder rows are is left to training.',
    UNIT: 'In units of what they write into the activation: their decoder rows are kept at length 1, so that sparsity cannot be had by small latents with long rows. Slots stay as they are.',
  },
);
const postTrainingMode = namedEnum('PostTrainingMode', 'What the second stage trains.', {
  JOINT: 'The SAE and the value heads together, with all loss terms.',
  SEPARATE_ACTIVATION: 'The SAE only, without the value term.',
  SEPARATE_VALUE: 'The value heads only, with the SAE frozen.',
});
const trainedPositions = namedEnum(
  'TrainedPositions',
  'At which tokens slots learn, and so where their edits belong.',
  {
    LAST_TOKEN: 'At the last prompt token, from which the answer begins.',
    ANSWER:
      'There, for half of each batch, and at every token of an answer: prompts are followed by the answer to another question about their entity, the slot of what was asked being bound there too. The counterfactual term leads such a row to the same token of the same answer behind the prompt that asks for it.',
  },
);
export const pretrainSource = namedEnum(
  'PretrainSource',
  'Which activations an SAE learns from without labels.',
  {
    PROMPTS: 'Those at the last token of the TRAIN prompts that it may see.',
    TEXTS:
      'Those at every position of the documents of the corpus that the run names, shuffled; sinks (norm above 3 × the median) are left out.',
  },
);
const silenceSource = namedEnum('SilenceSource', 'Where no concept is in play.', {
  DATASET:
    'At every position of TRAIN texts of the dataset, and of TRAIN prompts before their last token; 512 of each.',
  TEXTS:
    'At every position of the documents of the corpus that the run names, for half of the rows; the other half is that of DATASET.',
});
export type EncoderActivation = z.output<typeof encoderActivation>;
export type DecoderNorm = z.output<typeof decoderNorm>;
export type PostTrainingMode = z.output<typeof postTrainingMode>;
export type Preset = z.output<typeof preset>;

const weight = (preset: number, description: string) => number(0, 1e6).describe(description).default(preset);

/** A term's weight is here, with its meaning and its default in `PAPER`; the term is in `sae/losses.ts`. */
export const lossWeights = namedObject(
  'LossWeights',
  'Weights of the loss terms; 0 leaves a term out. `h` is an activation, `z = [f | s]` its code with free latents f and slots s, `ĥ` its reconstruction. Means and covariances are over the rows of a batch.',
  {
    recon: weight(1, 'Mean squared error of ĥ against h.'),
    sparse: weight(
      1e-3,
      'Mean |f|, in the first stage mean |z|; left out for TOPK and BATCH_TOPK, where k is the sparsity.',
    ),
    aux: weight(
      0,
      'Revival of dead latents (Gao et al. 2024): the dModel / 2 strongest latents that have not fired for `deadAfter` steps rebuild h − ĥ by themselves, mean squared error, in both stages; less where fewer are dead, in proportion. No effect on LINEAR, where none is ever dead.',
    ),
    bindMse: weight(6, "Binding: mean squared error of s to the concept's one-hot."),
    bindCrossEntropy: weight(
      1,
      'Binding: cross-entropy of `bindLogitScale · s` as logits against the concept.',
    ),
    bindLogitScale: z
      .number()
      .gt(0)
      .max(1000)
      .describe('Factor on the slots in `bindCrossEntropy`; not a weight.')
      .default(5),
    // Off, for it costs the most time of all terms.
    indep: weight(0, 'Independence: sum of the squared covariances of every free latent with every other.'),
    ortho: weight(10, 'Orthogonality: sum of the squared covariances of every slot with every free latent.'),
    value: weight(0.5, "Cross-entropy of the answer's first token from the bound slot's value head."),
    counterfactual: weight(
      0,
      'Extension: after a swap, mean squared error of the decoded activation against that of the same entity’s prompt about the target concept.',
    ),
    silence: weight(0, 'Extension: mean s² at positions where no concept is in play.'),
  },
);
export type LossWeights = z.output<typeof lossWeights>;

const schedule = namedEnum('LearningRateSchedule', 'How the learning rate goes on.', {
  CONSTANT: 'It stays as it is.',
  COSINE: 'It falls towards 0 along half a cosine.',
});

const stageOf = (steps: number) => ({
  steps: whole(0, 10_000_000).describe('Number of training steps; 0 leaves the stage out.').default(steps),
  learningRate: z.number().gt(0).max(1).describe('Learning rate of Adam.').default(3e-3),
  batchSize: count(65_536).describe('Activations a training step.').default(256),
});
const share = number(0, 0.9);

/** In the settings of any SAE. */
export const textStream = namedObject(
  'TextStream',
  'How activations of a corpus are streamed: documents in a random order, cut to contexts, run through the frozen model, and mixed in a buffer.',
  {
    contextLength: whole(2, 131_072)
      .describe(
        'Tokens of a document that the model reads together; as many as its context has where that is shorter.',
      )
      .default(128),
    bufferRows: whole(256, 4_194_304)
      .describe(
        'Activations in the buffer, among which batches are drawn: what the stream holds in memory, times dModel × 4 bytes.',
      )
      .default(32_768),
    draws: whole(1, 1000)
      .describe(
        'How often each activation in the buffer is drawn, in another order each time, before the model runs for new ones. More than 1 spares a large model work.',
      )
      .default(1),
  },
);
export type TextStreamSettings = z.output<typeof textStream>;

/** The defaults are those of the preset `PAPER`. */
export const alignmentSettings = namedObject(
  'AlignmentSettings',
  'How an SAE is trained and aligned to the concepts of an ontology: first without labels, then with slots bound to concepts.',
  {
    seed: seed
      .describe('Seeds every random draw; the same seed and settings give the same numbers again.')
      .default(0),
    preset: preset.describe('Where the settings left out are taken from.').default('PAPER'),
    layer: whole(-1, 999)
      .describe(
        'Block whose output (`blocks.{layer}.resid_post`, the residual stream) is read and edited; 0 is the first, and -1 the stream before it (`blocks.0.resid_pre`, the embeddings). Activations longer than 3 × the median of those at the last token of the TRAIN prompts are sinks, such as a model may have at the first token of a text: they are left out of means, scale and training, and armed edits never fire there.',
      )
      .default(0),
    positions: trainedPositions.describe('At which tokens it learns.').default('LAST_TOKEN'),
    nFree: count(1_000_000)
      .describe('Number of free latents; a slot for each concept comes behind them.')
      .default(1024),
    activation: encoderActivation.describe('Non-linearity of the encoder.').default('LINEAR'),
    k: count(1_000_000)
      .describe(
        'Free latents that stay active per activation: at most so many for TOPK, at most so many on the mean of a training batch for BATCH_TOPK.',
      )
      .default(32),
    decoderNorm: decoderNorm.describe('In which units free latents count.').default('FREE'),
    deadAfter: count(10_000_000)
      .describe('Training steps without firing after which a free latent counts as dead for `weights.aux`.')
      .default(50),
    mode: postTrainingMode.describe('What the second stage trains.').default('JOINT'),
    orthoStopSlots: z
      .boolean()
      .describe('Whether the gradient of `ortho` stops at the slots, so that it cannot shrink them.')
      .default(true),
    freezeFree: z
      .boolean()
      .describe(
        'Whether free latents keep the weights with which the second stage begins, those of the SAE begun with or of the first stage; slots and the bias of the decoder learn.',
      )
      .default(false),
    weights: lossWeights.describe('Weights of the loss terms.').prefault({}),
    mixEntities: z
      .boolean()
      .describe(
        'Extension: whether the counterfactual term also learns from points between the activations of two entities (mixup), which helps with entities that it never saw.',
      )
      .default(false),
    withheldPairShare: share
      .describe(
        'Share of (entity, concept) pairs that no counterfactual leads to, so that swaps there show what was not taught.',
      )
      .default(0),
    withheldTargets: z
      .array(z.string())
      .max(10_000)
      .describe('Keys of concepts that no counterfactual leads to.')
      .default([]),
    pretrainOn: pretrainSource
      .describe('Which activations the first stage learns from. TEXTS needs a corpus.')
      .default('PROMPTS'),
    silenceOn: silenceSource
      .describe('Where the term `silence` finds positions without a concept. TEXTS needs a corpus.')
      .default('DATASET'),
    silentRows: count(65_536)
      .describe('Positions without a concept in a training step, for the term `silence`.')
      .default(64),
    texts: textStream.describe('How activations of the corpus are streamed.').prefault({}),
    weightDecay: number(0, 1)
      .describe('Decoupled weight decay of the optimizer (AdamW, Loshchilov & Hutter 2019); 0 is Adam.')
      .default(0),
    pretrain: namedObject('PretrainStage', 'The first stage: reconstruction and sparsity, no labels.', {
      ...stageOf(300),
      sparse: z.boolean().describe('Whether `weights.sparse` counts in this stage.').default(true),
    })
      .describe('The first stage.')
      .prefault({}),
    posttrain: namedObject('PosttrainStage', 'The second stage: all loss terms, with labels.', {
      ...stageOf(800),
      schedule: schedule.describe('How the learning rate goes on.').default('COSINE'),
    })
      .describe('The second stage.')
      .prefault({}),
    valueHidden: count(65_536)
      .describe(
        "Hidden width of a slot's value head, which tells apart the tokens with which the dataset's answers begin, or a whole vocabulary of less than ten times as many.",
      )
      .default(256),
    unseenShare: share
      .describe('Share of entities that the SAE never sees, on which swaps are reported.')
      .default(0.2),
    validationShare: share
      .describe('Share of entities that the SAE never sees, on which alpha is chosen.')
      .default(0.1),
    alphas: z
      .array(number(-1000, 1000))
      .min(1)
      .max(64)
      .describe('Alphas tried; the best on validation is the one reported on unseen entities.')
      .default([0.5, 0.75, 1, 1.25, 1.5, 2, 3, 5, 10]),
    everyAlpha: z
      .boolean()
      .describe(
        'Whether unseen entities are asked at all `alphas`, beside the one chosen: of an alignment sweep, alpha × layer in one table. Nothing is chosen by them.',
      )
      .default(false),
    swapTrials: count(100_000).describe('Swaps tried for each alpha and population.').default(400),
    knownOnly,
    validateEvery: count(1_000_000)
      .describe('Steps of the second stage between measurements by which the best weights are kept.')
      .default(25),
    logEvery: count(1_000_000).describe('Metrics are logged every this many steps.').default(10),
  },
)
  .superRefine(checkTopK, reading('activation', 'k', 'nFree'))
  .superRefine(checkShares, reading('unseenShare', 'validationShare'))
  .superRefine(checkStages, reading('activation', 'mode', 'weights', 'pretrain', 'posttrain'))
  .superRefine(checkDecay, reading('weightDecay', 'freezeFree'));

/** What must be so for something to be trained at all. */
function checkStages(s: TrainedBy, ctx: z.RefinementCtx): void {
  if (s.mode === 'SEPARATE_VALUE' && s.weights.value === 0)
    ctx.addIssue({
      code: 'custom',
      path: ['weights', 'value'],
      message: 'mode SEPARATE_VALUE trains by the value term alone, so its weight must be above 0',
    });
  for (const [stage, terms] of Object.entries({ pretrain: pretrainTerms(s), posttrain: posttrainTerms(s) }))
    if (s[stage as 'pretrain' | 'posttrain'].steps > 0 && terms.every((term) => s.weights[term] === 0))
      ctx.addIssue({
        code: 'custom',
        path: ['weights'],
        message: `${stage} has nothing to train by: give ${terms.join(', ')} a weight above 0, or set ${stage}.steps to 0`,
      });
}

/** Decay moves weights that no gradient reaches. */
function checkDecay(
  { weightDecay, freezeFree }: { weightDecay: number; freezeFree: boolean },
  ctx: z.RefinementCtx,
): void {
  if (freezeFree && weightDecay > 0)
    ctx.addIssue({
      code: 'custom',
      path: ['weightDecay'],
      message: `weightDecay must be 0 where freezeFree is set, for it would shrink the free latents; got ${weightDecay}`,
    });
}

/** In the settings of any SAE. */
export function checkTopK(
  { activation, k, nFree }: { activation: EncoderActivation; k: number; nFree: number },
  ctx: z.RefinementCtx,
): void {
  if (isTopK(activation) && k > nFree)
    ctx.addIssue({
      code: 'custom',
      path: ['k'],
      message: `k must be at most nFree (${nFree}); got ${k}`,
    });
}

/** In the settings of any SAE: some entities are left to learn from. */
export function checkShares(
  { unseenShare, validationShare }: { unseenShare: number; validationShare: number },
  ctx: z.RefinementCtx,
): void {
  if (unseenShare + validationShare > 0.9)
    ctx.addIssue({
      code: 'custom',
      path: ['unseenShare'],
      message: `unseenShare and validationShare together must be at most 0.9; got ${unseenShare + validationShare}`,
    });
}

/** Whether a fixed number of free latents fires, so that no penalty is needed to make them sparse. */
export function isTopK(activation: EncoderActivation): boolean {
  return activation === 'TOPK' || activation === 'BATCH_TOPK';
}

type Term = Exclude<keyof LossWeights, 'bindLogitScale'>;

/** The terms that can train in the first stage. */
function pretrainTerms({ activation, pretrain }: TrainedBy): Term[] {
  return unlabelledTerms(activation).filter((term) => term !== 'sparse' || pretrain.sparse);
}

function unlabelledTerms(activation: EncoderActivation): Term[] {
  return [
    'recon',
    ...(isTopK(activation) ? [] : (['sparse'] as const)),
    ...(activation === 'LINEAR' ? [] : (['aux'] as const)),
  ];
}

/** Those that need labels, the value heads' apart. */
const LABELLED_TERMS = Object.keys(lossWeights.shape).filter(
  (key) => !['recon', 'sparse', 'aux', 'value', 'bindLogitScale'].includes(key),
) as Term[];

/** The terms that can train in the second stage. */
function posttrainTerms({ activation, mode }: TrainedBy): Term[] {
  if (mode === 'SEPARATE_VALUE') return ['value'];
  return [
    ...unlabelledTerms(activation),
    ...LABELLED_TERMS,
    ...(mode === 'JOINT' ? (['value'] as const) : []),
  ];
}

/** What decides which terms a stage trains by. */
interface TrainedBy {
  activation: EncoderActivation;
  mode: PostTrainingMode;
  weights: LossWeights;
  pretrain: { steps: number; sparse: boolean };
  posttrain: { steps: number };
}

export type AlignmentSettings = z.output<typeof alignmentSettings>;
/** What a caller may leave out is filled from the preset. */
export type AlignmentSettingsInput = z.input<typeof alignmentSettings>;
