/** Questions about single latents of a finished SAE: what they take and what they answer. */
import type { EngineDataset, Split } from './dataset.ts';
import type { ModelRef } from './model.ts';

/** An SAE with the prompts on which its latents are looked at. */
export interface LatentSource {
  model: ModelRef;
  /** Path of the SAE's `.safetensors`. */
  sae: string;
  /** Names the dataset, whose activations stay captured for as long as the SAE is loaded. */
  datasetId: string;
  /** Null where its activations may be captured already; the answer is null if they are not. */
  dataset: EngineDataset | null;
}

/** Most items of each list of a page. */
export const LATENT_LIST = 50;

export interface LatentsCall extends LatentSource {
  /** Indices, free latents first. */
  latents: readonly number[];
}

export interface TokenScore {
  token: string;
  score: number;
}

/** How many prompts a latent fires on: above 0.5 for a slot, at anything but 0 for a free latent. */
export interface Firing {
  fired: number;
  prompts: number;
}

/** What drives a latent and what it writes, at the last token of the dataset's prompts. */
export interface LatentPage {
  latent: number;
  firing: Firing;
  mean: number;
  max: number;
  /** Equal bins from the smallest to the largest activation; `to` belongs to the last bin alone. */
  histogram: { from: number; to: number; count: number }[];
  /** Concept by concept. */
  concepts: { firing: Firing; separability: number | null }[];
  /** Strongest first, above 0. */
  topExamples: { promptId: string; activation: number }[];
  /** Logit lens of the decoder column: above 0, and below 0; farthest from 0 first. */
  raised: TokenScore[];
  lowered: TokenScore[];
  /** Cosine of decoder columns, largest first. */
  nearest: { latent: number; cosine: number }[];
}

/** What is measured of all latents at once: arrays by latent, free latents first. */
export interface LatentSurvey {
  prompts: number;
  nConcepts: number;
  /** Prompts on which it fires. */
  fired: Int32Array;
  mean: Float64Array;
  max: Float64Array;
  /** AUROC for each concept on TRAIN prompts of the entities that the SAE learned from, `[nLatents, nConcepts]`; NaN where
   * all or none of them are about it. */
  aurocs: Float64Array;
  /** The same on all TEST_OOD prompts. */
  heldOutAurocs: Float64Array;
}

export interface LatentTokensCall {
  model: ModelRef;
  sae: string;
  requests: readonly { latent: number; prompt: string }[];
}

/** A latent's activation at every token of a prompt. */
export type LatentTokens = { text: string; activation: number }[];

/** A prompt as latents are looked at. */
export interface LatentPrompt {
  id: string;
  concept: number;
  split: Split;
  /** Whether the SAE learned from it. */
  learned: boolean;
}

/** Most latents of a token that are told. */
export const TOP_LATENTS = 50;

export interface ActivationsCall {
  model: ModelRef;
  sae: string;
  text: string;
  /** The text is a message of a chat: what the model reads is that, up to where it is to answer. */
  chat: boolean;
}

/** A token of a text with the latents that are above 0 on it, at most `TOP_LATENTS`, strongest first. */
export interface ActiveToken {
  /** The part of the text that it stands for; those of all tokens joined are the text. */
  text: string;
  latents: Int32Array;
  /** One a latent. */
  activations: Float32Array;
}

/** The mean activation of prompts about one concept less that of prompts about another. */
export interface ConceptDifferenceCall extends LatentSource {
  /** Concept indices of the dataset. */
  of: number;
  from: number;
  /** Whether it is the dataset that the SAE learned from, whose means may be in its file. */
  isOwn: boolean;
}
