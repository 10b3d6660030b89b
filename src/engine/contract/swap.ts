/** A concept swap: edit one prompt's latents, decode, let the model go on, compare with the target's fact. */
import type { ModelRef } from './model.ts';

/** The six ways METHOD names; how the edited latents reach the residual stream. */
export const SWAP_METHODS = [
  'LATENT_DECODE',
  'LATENT_DELTA',
  'DECODER_COLUMN',
  'DECODER_PAIR',
  'ORTHOGONAL',
  'MEAN_DIFFERENCE',
] as const;
export type SwapMethod = (typeof SWAP_METHODS)[number];

export interface SwapCall {
  model: ModelRef;
  /** Path of the alignment's `.safetensors`; its metadata holds settings and normalisation. */
  sae: string;
  prompt: string;
  /** Concept indices; null source means the prompt's strongest slot. */
  source: number | null;
  target: number;
  method: SwapMethod;
  alpha: number;
  /** Edit wherever the source slot is on, prompt and answer, and nowhere else; otherwise at the last prompt token. */
  armed: boolean;
  maxNewTokens: number;
}

export interface Continuation {
  text: string;
  tokens: { text: string; probability: number }[];
}

export interface SwapResult {
  source: number;
  target: number;
  baseline: Continuation;
  result: Continuation;
  /** Activations of all slots at the edited position, before and after the edit. */
  slots: { index: number; concept: number; before: number; after: number }[];
}
