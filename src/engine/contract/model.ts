/** A model-training job: what it takes and what it returns. The work itself is in `train.ts`. */
import type { EngineDataset, Prompted, Split } from './dataset.ts';
import type { Decoder } from './modelDecoder.ts';
import type { ModelSettings } from './modelSettings.ts';
import type { WrittenFile } from './writtenFile.ts';

export interface ModelJob {
  kind: 'MODEL';
  settings: ModelSettings;
  dataset: EngineDataset;
  /** Begins with the weights of this model, in its shape and with its tokenizer; absent means new ones. */
  initial?: ModelRef;
  /** Steps after which the weights are handed over, ascending; 0 is before training. */
  keepSteps?: readonly number[];
}

/** A model as it was after some step of its training. */
export interface ModelSnapshot {
  step: number;
  weights: WrittenFile;
  config: ModelConfig;
  tokenizer: unknown;
  nParams: number;
}

/** A trained (or imported) language model as a file plus what is needed to rebuild it. */
export interface ModelRef {
  /** Path of the `.safetensors` weights. */
  weights: string;
  config: ModelConfig;
  /** A Hugging Face `tokenizer.json`, parsed. */
  tokenizer: unknown;
  /** How the prompts of a call are put to it; absent: as they are. Jobs go by their dataset. */
  prompted?: Prompted;
}

/** A model's sizes, in the names of TransformerLens, and what it computes. */
export interface ModelConfig {
  nLayers: number;
  nHeads: number;
  dModel: number;
  /** Width of the MLP's hidden layer, 4 × dModel in GPT-2. */
  dMlp: number;
  /** Longest sequence in tokens. */
  nCtx: number;
  dVocab: number;
  /** Of all norms. */
  layerNormEps: number;
  /** Absent in GPT-2 (`decoderOf`). */
  decoder?: Decoder;
  /**
   * Of a model without weights: where its activations were captured; sizes that nobody knows are 0. Absent in a model
   * that computes.
   */
  captured?: { layer: number };
}

/** In the file of a model without weights: its activations, F32 `[prompts, dModel]`, in the order of its dataset. */
export const CAPTURED_TENSOR = 'activations';

export interface ModelResult {
  kind: 'MODEL';
  weights: WrittenFile;
  config: ModelConfig;
  tokenizer: unknown;
  nParams: number;
  finalLoss: number;
  /** Share of prompts whose greedy continuation equals the whole answer; a split without prompts is absent. */
  accuracy: Partial<Record<Split, number>>;
}
