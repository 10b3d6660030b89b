/** An SAE from elsewhere in the terms of this engine, whatever file it came in. */
import type { StoredTensor } from '../huggingFace/tensors.ts';

/** How an SAE of SAELens or Gemma Scope computes, apart from its weights. */
export interface ForeignSae {
  architecture: 'standard' | 'gated' | 'jumprelu' | 'topk' | 'batchtopk';
  dIn: number;
  dSae: number;
  /** Of `topk` and `batchtopk`: latents that fire. */
  k: number;
  /** Whether `b_dec` is taken off the input. */
  takesOffBias: boolean;
  /** Whether latents count by what they write, for their activation: pre-activations times the length of their rows. */
  rescales: boolean;
  /** What activations are multiplied by before anything else, and reconstructions divided by at the end. */
  inputScale: number;
  /** The layer of this engine whose output it reads; -1 is the stream before the first block. */
  layer: number;
}

/** The file of an SAE, opened; its tensors are read when they are asked for. */
export interface ForeignFile {
  /** The name of the file of weights. */
  label: string;
  sae: ForeignSae;
  /** By name. */
  tensors: ReadonlyMap<string, StoredTensor>;
}

/** What the caller says where the files do not. */
export interface ImportHints {
  layer: number | null;
  inputScale: number | null;
}
