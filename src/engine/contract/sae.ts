/** What an SAE is, as plain data. */
import type { AlignmentSettings, EncoderActivation } from './alignmentSettings.ts';

/** What decides the shapes of an SAE's weights and how its free latents fire. */
export interface SaeConfig {
  dModel: number;
  nFree: number;
  nConcepts: number;
  activation: EncoderActivation;
  /** Active free latents a row: at most, for `TOPK`; on the mean over a training batch, for `BATCH_TOPK`. */
  k: number;
  /** Null when the SAE has no value heads. */
  valueHeads: ValueHeads | null;
}

/** Heads that name the first token of an answer from a slot alone, one a concept. */
export interface ValueHeads {
  hidden: number;
  /** Tokens that they tell apart. */
  dVocab: number;
  /** Their ids, ascending; absent where they are the model's vocabulary. */
  tokens?: readonly number[];
}

/** Free latents and slots together. */
export function nLatentsOf({ nFree, nConcepts }: Pick<SaeConfig, 'nFree' | 'nConcepts'>): number {
  return nFree + nConcepts;
}

/** Everything about an SAE that is plain data. */
export interface SaeDescription {
  config: SaeConfig;
  settings: AlignmentSettings;
  /** Keys of the dataset's concepts, slot by slot; an unsupervised SAE has slots for none of them. */
  concepts: readonly string[];
  /** Norm above which an activation is a sink, on which armed edits never fire; absent where none is. */
  sinkNorm?: number;
  /** Step of the kept weights: of post-training, or of the only stage where there are no slots. */
  bestStep: number;
}
