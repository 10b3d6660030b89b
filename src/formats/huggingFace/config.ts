/** `config.json` of a GPT-2 checkpoint, both ways: what this engine computes, in Hugging Face's names. */
import { z } from 'zod';
import type { ModelConfig } from '../../engine/contract/model.ts';
import { type AppError, invalidInput } from '../../errors.ts';
import type { Tokenizer } from '../tokenizer.ts';

const ARCHITECTURE = 'GPT2LMHeadModel';

/** What a checkpoint may say, the first being what its silence means; all others change what is computed. */
const SUPPORTED: Record<string, readonly unknown[]> = {
  // Two names of one function.
  activation_function: ['gelu_new', 'gelu_pytorch_tanh'],
  scale_attn_weights: [true],
  scale_attn_by_inverse_layer_idx: [false],
  add_cross_attention: [false],
  is_encoder_decoder: [false],
  tie_word_embeddings: [true],
};

const size = (fallback: number) => z.number().int().min(1).default(fallback);

/** The sizes, with the values that transformers takes for those left out. */
const sizes = z.object({
  vocab_size: size(50_257),
  n_positions: size(1024),
  n_embd: size(768),
  n_layer: size(12),
  n_head: size(12),
  n_inner: z.number().int().min(1).nullish(),
  layer_norm_epsilon: z.number().positive().default(1e-5),
});

/** @throws {AppError} INVALID_INPUT naming what this engine does not compute, its value and what is supported. */
export function readConfig(config: Readonly<Record<string, unknown>>): ModelConfig {
  const { model_type: type = 'gpt2', architectures = [ARCHITECTURE] } = config;
  if (type !== 'gpt2') throw unsupported('model_type', type, 'gpt2');
  if (!Array.isArray(architectures) || !architectures.includes(ARCHITECTURE))
    throw unsupported('architectures', architectures, ARCHITECTURE);
  for (const [key, values] of Object.entries(SUPPORTED)) {
    const value = config[key] ?? values[0];
    if (!values.includes(value)) throw unsupported(key, value, values.map(String).join(' or '));
  }
  if (config.quantization_config) throw unsupported('quantization_config', 'set', 'none');
  if (Object.keys(config.pruned_heads ?? {}).length > 0) throw unsupported('pruned_heads', 'set', 'none');
  const parsed = sizes.safeParse(config);
  if (!parsed.success) {
    const { path, message } = parsed.error.issues[0]!;
    throw invalidInput(['config.json', String(path[0])], `config.json: ${String(path[0])}: ${message}`);
  }
  return toModelConfig(parsed.data);
}

function toModelConfig(given: z.output<typeof sizes>): ModelConfig {
  const { n_embd: dModel, n_head: nHeads } = given;
  if (dModel % nHeads !== 0) throw unsupported('n_head', nHeads, `a divisor of n_embd, ${dModel}`);
  return {
    nLayers: given.n_layer,
    nHeads,
    dModel,
    dMlp: given.n_inner ?? 4 * dModel,
    nCtx: given.n_positions,
    dVocab: given.vocab_size,
    layerNormEps: given.layer_norm_epsilon,
  };
}

function unsupported(key: string, value: unknown, accepted: string): AppError {
  const shown = typeof value === 'string' ? value : JSON.stringify(value);
  return invalidInput(['config.json', key], `config.json: ${key} is ${shown}; supported is ${accepted}`);
}

/** `config.json` of a model of this shape; dropout is 0, for it is what the model was trained with. */
export function describeConfig(config: ModelConfig, ids: Pick<Tokenizer, 'eosId' | 'padId'>) {
  const { nLayers, nHeads, dModel, dMlp, nCtx, dVocab, layerNormEps } = config;
  return {
    ...{ model_type: 'gpt2', architectures: [ARCHITECTURE], dtype: 'float32', torch_dtype: 'float32' },
    ...{ vocab_size: dVocab, n_positions: nCtx, n_embd: dModel, n_layer: nLayers, n_head: nHeads },
    ...{ n_inner: dMlp, activation_function: SUPPORTED.activation_function![0] },
    ...{ layer_norm_epsilon: layerNormEps, tie_word_embeddings: true },
    ...{ scale_attn_weights: true, scale_attn_by_inverse_layer_idx: false },
    ...{ attn_pdrop: 0, embd_pdrop: 0, resid_pdrop: 0 },
    ...tokenIds(ids),
  };
}

/** `generation_config.json`: greedy, and when to stop. */
export function describeGeneration(ids: Pick<Tokenizer, 'eosId' | 'padId'>) {
  return { ...tokenIds(ids), do_sample: false };
}

/** No text begins with a special token here; transformers asks for one where there is no prompt. */
function tokenIds({ eosId, padId }: Pick<Tokenizer, 'eosId' | 'padId'>) {
  return { bos_token_id: eosId, eos_token_id: eosId, pad_token_id: padId };
}
