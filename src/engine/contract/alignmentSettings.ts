/** Settings of an alignment run (both stages of the curriculum) and its named presets. */
import { z } from 'zod';
import { seed } from './seed.ts';

const finite = z.number();
const weight = finite.min(0).max(1e6);
const count = (max: number) => z.number().int().min(1).max(max);

export const ENCODER_ACTIVATIONS = ['LINEAR', 'RELU', 'TOPK', 'BATCH_TOPK'] as const;
export const DECODER_NORMS = ['FREE', 'UNIT'] as const;
export const POST_TRAINING_MODES = ['JOINT', 'SEPARATE_ACTIVATION', 'SEPARATE_VALUE'] as const;
export const PRESETS = ['PAPER', 'COUNTERFACTUAL'] as const;
export type EncoderActivation = (typeof ENCODER_ACTIVATIONS)[number];
export type DecoderNorm = (typeof DECODER_NORMS)[number];
export type PostTrainingMode = (typeof POST_TRAINING_MODES)[number];
export type Preset = (typeof PRESETS)[number];

/** One weight a loss term, named as in the curriculum; 0 leaves the term out. */
export const lossWeights = z
  .object({
    recon: weight,
    sparse: weight,
    /** Revival of dead free latents, by letting them rebuild what the others leave over. */
    aux: weight,
    /** Mean squared error of the slots to the concept's one-hot. */
    bindMse: weight,
    /** Cross-entropy of `bindLogitScale · slots` against the concept. */
    bindCrossEntropy: weight,
    bindLogitScale: finite.positive().max(1000),
    indep: weight,
    ortho: weight,
    value: weight,
    /** Match the activation of the same entity's prompt about the target concept after a swap (our extension). */
    counterfactual: weight,
    /** All-zero slot target where no concept is in play (our extension). */
    silence: weight,
  })
  .strict();
export type LossWeights = z.output<typeof lossWeights>;

const stage = z
  .object({
    steps: z.number().int().min(0).max(10_000_000),
    learningRate: finite.positive().max(1),
    batchSize: count(65_536),
  })
  .strict();

export const alignmentSettings = z
  .object({
    seed,
    preset: z.enum(PRESETS),
    /** Block whose `resid_post` is read and edited, 0-based; −1 is the stream before the first block. */
    layer: z.number().int().min(-1).max(47),
    nFree: count(1_000_000),
    activation: z.enum(ENCODER_ACTIVATIONS),
    /** Active free latents per activation vector: exactly for `TOPK`, on the mean for `BATCH_TOPK`. */
    k: count(1_000_000),
    /** In which units free latents count: their own, or what they write (rows of the decoder at length 1). */
    decoderNorm: z.enum(DECODER_NORMS),
    /** Training steps without firing after which a free latent counts as dead for `weights.aux`. */
    deadAfter: count(10_000_000),
    mode: z.enum(POST_TRAINING_MODES),
    /** Stop ortho's gradient at the slots, so that it cannot shrink them. */
    orthoStopSlots: z.boolean(),
    weights: lossWeights,
    /** Train the counterfactual term on activations between those of two entities. */
    mixEntities: z.boolean(),
    /** Share of (entity, concept) pairs that no counterfactual leads to. */
    withheldPairShare: finite.min(0).max(0.9),
    /** Keys of concepts that no counterfactual leads to. */
    withheldTargets: z.array(z.string()).max(10_000),
    pretrain: stage,
    posttrain: stage,
    /** Hidden width of a slot's value head. */
    valueHidden: count(65_536),
    /** Share of entities the SAE never sees, on which swaps are reported. */
    unseenShare: finite.min(0).max(0.9),
    /** Share of entities the SAE never sees, on which alpha is chosen. */
    validationShare: finite.min(0).max(0.9),
    /** Alphas tried on validation; the best is reported on the unseen entities. */
    alphas: z.array(finite.min(-1000).max(1000)).min(1).max(64),
    /** Swaps tried per alpha and population. */
    swapTrials: count(100_000),
    /** Post-training steps between two looks at the validation prompts; the best look's weights are kept. */
    validateEvery: count(1_000_000),
    logEvery: count(1_000_000),
  })
  .strict()
  .superRefine((s, ctx) => {
    checkDictionary(s, ctx);
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
  });

/** What must fit together in the settings of any SAE. */
export function checkDictionary(
  s: {
    activation: EncoderActivation;
    k: number;
    nFree: number;
    unseenShare: number;
    validationShare: number;
  },
  ctx: z.RefinementCtx,
): void {
  if (isTopK(s.activation) && s.k > s.nFree)
    ctx.addIssue({
      code: 'custom',
      path: ['k'],
      message: `k must be at most nFree (${s.nFree}), got ${s.k}`,
    });
  if (s.unseenShare + s.validationShare > 0.9)
    ctx.addIssue({
      code: 'custom',
      path: ['unseenShare'],
      message: 'unseenShare and validationShare together must be at most 0.9',
    });
}

/** Whether a fixed number of free latents fires, so that no penalty is needed to make them sparse. */
export function isTopK(activation: EncoderActivation): boolean {
  return activation === 'TOPK' || activation === 'BATCH_TOPK';
}

type Term = Exclude<keyof LossWeights, 'bindLogitScale'>;

/** The terms that can train in the first stage. */
function pretrainTerms({ activation }: { activation: EncoderActivation }): Term[] {
  return [
    'recon',
    ...(isTopK(activation) ? [] : (['sparse'] as const)),
    ...(activation === 'LINEAR' ? [] : (['aux'] as const)),
  ];
}

/** The terms that can train in the second stage. */
function posttrainTerms(s: { activation: EncoderActivation; mode: PostTrainingMode }): Term[] {
  if (s.mode === 'SEPARATE_VALUE') return ['value'];
  const labelled = ['bindMse', 'bindCrossEntropy', 'indep', 'ortho', 'counterfactual', 'silence'] as const;
  return [...pretrainTerms(s), ...labelled, ...(s.mode === 'JOINT' ? (['value'] as const) : [])];
}

export type AlignmentSettings = z.output<typeof alignmentSettings>;
/** What a caller may leave out is filled from the preset. */
export type AlignmentSettingsInput = {
  [K in keyof AlignmentSettings]?: AlignmentSettings[K] extends object
    ? Partial<AlignmentSettings[K]>
    : AlignmentSettings[K];
};
