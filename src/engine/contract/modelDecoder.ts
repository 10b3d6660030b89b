/**
 * What a language model computes, as a row of plain data over one decoder. Rows are made from a checkpoint's
 * configuration (`formats/huggingFace/architectures/`) and stored with the model; a model without one is GPT-2.
 */

/** Whose layout of checkpoints a model has, in Hugging Face's `model_type`. */
export const ARCHITECTURES = [
  'gpt2',
  'gpt_neox',
  'llama',
  'mistral',
  'qwen2',
  'qwen3',
  'gemma2',
  'gemma3_text',
] as const;
export type ArchitectureName = (typeof ARCHITECTURES)[number];

export interface Decoder {
  architecture: ArchitectureName;
  /** Layer norm; root mean square with gain `w`, or with gain `1 + w`. */
  norm: 'LAYER' | 'RMS' | 'RMS_PLUS_ONE';
  /** Whether what attention and MLP write is normed too, before it is added to the residual stream. */
  normsOutputs: boolean;
  /** Whether attention and MLP both read the stream that enters the block. */
  parallel: boolean;
  /** Null: positions are learned and added to the embeddings. */
  rotary: Rotary | null;
  attention: Attention;
  mlp: {
    activation: Activation;
    /** Whether a second projection, through the activation, multiplies the first. */
    gated: boolean;
    /** So many blocks, from the first, have none (and no norm before it); absent means none of them. */
    missing?: number;
  };
  /** Which projections have biases. */
  biases: { queriesKeysValues: boolean; attentionOutput: boolean; mlp: boolean };
  /** What embeddings are multiplied by. */
  embeddingScale: number;
  /** `c · tanh(logits / c)`; null leaves them as they are. */
  logitCap: number | null;
  /** Whether the embeddings, transposed, are the unembedding. */
  tied: boolean;
}

/** GELU by the error function; by tanh; x · σ(x). */
export type Activation = 'GELU' | 'GELU_TANH' | 'SILU';

export interface Attention {
  /** Each is shared by nHeads / nKeyValueHeads queries' heads. */
  nKeyValueHeads: number;
  /** Numbers a head; GPT-2's is dModel / nHeads. */
  dHead: number;
  /** What scores are multiplied by; absent means 1 / √dHead. */
  scale?: number;
  /** `c · tanh(score / c)`; null leaves them as they are. */
  cap: number | null;
  /** Whether queries and keys are normed, head by head, before they are rotated. */
  normsQueriesKeys: boolean;
  /** Some blocks see a token and the `size − 1` before it; null: all see everything before. */
  window: { size: number; layers: readonly number[]; rotary: Rotary | null } | null;
}

/** Rotary positions (Su et al. 2021), the first half of the rotated numbers paired with the second. */
export interface Rotary {
  /** How many numbers of each head are rotated, the first ones; even. */
  dims: number;
  base: number;
  scaling: RotaryScaling | null;
}

/** Frequencies for longer contexts than a model was first trained on. */
export type RotaryScaling =
  | { kind: 'LINEAR'; factor: number }
  | {
      kind: 'LLAMA3';
      factor: number;
      lowFrequencyFactor: number;
      highFrequencyFactor: number;
      originalContext: number;
    }
  | {
      kind: 'YARN';
      factor: number;
      originalContext: number;
      betaFast: number;
      betaSlow: number;
      truncate: boolean;
      /** What cosine and sine are multiplied by. */
      attentionFactor: number;
    };

/** GPT-2's row for a model of these sizes. */
export function gpt2Decoder({ dModel, nHeads }: { dModel: number; nHeads: number }): Decoder {
  return {
    architecture: 'gpt2',
    norm: 'LAYER',
    normsOutputs: false,
    parallel: false,
    rotary: null,
    attention: {
      nKeyValueHeads: nHeads,
      dHead: dModel / nHeads,
      cap: null,
      normsQueriesKeys: false,
      window: null,
    },
    mlp: { activation: 'GELU_TANH', gated: false },
    biases: { queriesKeysValues: true, attentionOutput: true, mlp: true },
    embeddingScale: 1,
    logitCap: null,
    tied: true,
  };
}

/** What a model computes; a configuration that says nothing of it is GPT-2's. */
export function decoderOf(config: { dModel: number; nHeads: number; decoder?: Decoder }): Decoder {
  return config.decoder ?? gpt2Decoder(config);
}

/** What a model is built like, in words: of captured activations nobody knows. */
export function architectureOf(config: Parameters<typeof decoderOf>[0] & { captured?: object }): string {
  return config.captured ? 'unknown' : decoderOf(config).architecture;
}
