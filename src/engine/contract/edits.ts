/** Edits of any latent or direction: what is edited, how, and where. The work itself is in `edits/steering.ts`. */
import { namedEnum } from './describe.ts';
import type { ModelRef } from './model.ts';
import type { Continuation, SwapMethod } from './swap.ts';

export const editAction = namedEnum(
  'EditAction',
  'What an edit does with its target. Of a direction, what is meant is its component: how far the activation reaches along it, in the units of the residual stream.',
  {
    SET: 'The target becomes `strength`.',
    SCALE: 'The target is multiplied by `strength`.',
    ADD: 'The target is added `strength` times: of a latent, what it writes at an activation of 1.',
    ABLATE: 'The share `strength` of the target is taken away; 1 leaves nothing of it.',
    SWAP: '`source` is turned off and the target on, by `method`; `strength` is the alpha of `SwapMethod`.',
  },
);
export type EditAction = (typeof editAction.options)[number];

export const editPositions = namedEnum('EditPositions', 'Where an edit is made.', {
  LAST_TOKEN: 'At the last token of the prompt alone.',
  ANSWER: 'There and at every token that is made.',
  ALL: 'At every token of the prompt and every token that is made.',
});
export type EditPositions = (typeof editPositions.options)[number];

/** A concept's slot, any latent (free ones first, then slots), or a direction of raw activations, `[dModel]`. */
export type EditTarget = { concept: number } | { latent: number } | { vector: Float32Array };

/** Steps count from the last prompt token, 0; step n is the n-th token made, and tokens before the last are below 0. */
export interface EditPlace {
  positions: EditPositions;
  /** Positions in the prompt, from 0; where they are given, `positions` and the steps say nothing. */
  tokens: readonly number[] | null;
  /** First step; null is the first of `positions`. */
  fromStep: number | null;
  /** Last step; null means that there is no end. */
  untilStep: number | null;
  /** Only where this latent is above the threshold before any edit; a swap without one means its source. */
  armed: { target: Exclude<EditTarget, { vector: Float32Array }> | null; above: number } | null;
}

export interface SteeringEdit {
  target: EditTarget;
  action: EditAction;
  /** What it counts is said at `EditAction`. */
  strength: number;
  /** Of a swap: what is turned off; null is the strongest slot at the last prompt token. */
  source: EditTarget | null;
  /** Of a swap. */
  method: SwapMethod;
  /** Of latents that are set, scaled or ablated: whether what the SAE does not reconstruct stays in the activation. */
  keepsError: boolean;
  /** Of what is added: whether it counts in the length of the activation, its own length being taken as 1. */
  relative: boolean;
  place: EditPlace;
}

/** One prompt under the same edits at several strengths, all in one batch. */
export interface SteerCall {
  model: ModelRef;
  /** Path of the SAE's `.safetensors`. */
  sae: string;
  prompt: string;
  /** Where several apply at one position, each edits what the one before it made. */
  edits: readonly SteeringEdit[];
  /** Each multiplies the strength of every edit. */
  alphas: readonly number[];
  maxNewTokens: number;
}

export interface SteerResult {
  baseline: Continuation;
  /** One an alpha, in their order. */
  results: Continuation[];
}

/** Tokens of prompt and answer that the rows of one batch may have together. */
export const MAX_STEERED_TOKENS = 8192;

/** A slot counts as on above this: half of what a bound slot is trained to reach. */
export const SLOT_ON = 0.5;

/** A swap of one concept's slot for another's, made at every step of a range. */
export interface ConceptSwap {
  /** Concept indices; null source means the strongest slot at step 0. */
  source: number | null;
  target: number;
  method: SwapMethod;
  alpha: number;
  fromStep: number;
  /** Last step of the range; null means that it has no end. */
  untilStep: number | null;
  /** Only where the source's slot is on before any edit of that step. */
  armed: boolean;
}

/** The swap as the edit that it is. */
export function swapEdit(swap: ConceptSwap): SteeringEdit {
  const { source, target, alpha, method, armed, fromStep, untilStep } = swap;
  return {
    target: { concept: target },
    action: 'SWAP',
    strength: alpha,
    source: source === null ? null : { concept: source },
    method,
    keepsError: false,
    relative: false,
    place: {
      positions: 'ANSWER',
      tokens: null,
      fromStep,
      untilStep,
      armed: armed ? { target: null, above: SLOT_ON } : null,
    },
  };
}
