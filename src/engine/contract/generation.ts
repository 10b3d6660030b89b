/** Live generation: what it takes and what it tells, token by token. The work itself is in `generate.ts`. */

import type { SteeringEdit } from './edits.ts';
import type { ModelRef } from './model.ts';

export interface Sampling {
  /** Above 0; below 1 sharpens, above 1 flattens. */
  temperature: number;
  /** Only the k likeliest tokens are drawn from; null means all. */
  topK: number | null;
  /** Prompt i draws from its own stream of this seed, whatever else is in the batch. */
  seed: number;
}

export interface GenerationCall {
  model: ModelRef;
  /** Path of the SAE's `.safetensors`. */
  sae: string;
  prompt: string;
  maxNewTokens: number;
  /** Null means greedy. */
  sampling: Sampling | null;
  /** Where several apply at one step, each edits what the former made. */
  edits: readonly SteeringEdit[];
}

export interface TokenItem {
  type: 'TOKEN';
  /** 0 for the first new token. */
  index: number;
  text: string;
  probability: number;
  /** Slots at the position that predicted the token, before any edit; concept by concept. */
  slots: number[];
}

export interface FinishedItem {
  type: 'FINISHED';
  text: string;
  reason: 'EOS' | 'LENGTH';
}

/** Tokens in order, then the end. */
export type GenerationItem = TokenItem | FinishedItem;
