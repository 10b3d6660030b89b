/**
 * What GGUF calls the parts of an architecture, and what its converter (llama.cpp's `convert_hf_to_gguf.py`) changed, so that
 * a file reads like the checkpoint it was made of.
 */
import type { GgufMetadata } from './file.ts';

/** What undoes a conversion, on the whole tensor: rows put back in order, a transposition, or an offset. */
export type Undo = 'ROTARY_QUERIES' | 'ROTARY_KEYS' | 'TRANSPOSED' | 'HEADS_APART' | 'PLUS_ONE';

export interface GgufName {
  /** Name in the Hugging Face checkpoint. */
  name: string;
  undo?: Undo;
}

export interface GgufArchitecture {
  /** `model_type` in Hugging Face's configuration. */
  modelType: string;
  /** Names of tensors, `{l}` being the block; those of `kinds` have `.weight` and `.bias`. */
  names: Readonly<Record<string, GgufName>>;
  /** Keys of `config.json` besides those that all have; `get` reads a key below the architecture's name. */
  describe(get: (key: string) => unknown, metadata: GgufMetadata): Record<string, unknown>;
}

const plain = (names: Readonly<Record<string, string>>): Record<string, GgufName> =>
  Object.fromEntries(Object.entries(names).map(([own, name]) => [own, { name }]));

const undone = (undo: Undo, names: Readonly<Record<string, string>>): Record<string, GgufName> =>
  Object.fromEntries(Object.entries(names).map(([own, name]) => [own, { name, undo }]));

const LAYER = 'model.layers.{l}';

const LLAMA_NAMES = plain({
  token_embd: 'model.embed_tokens',
  output: 'lm_head',
  output_norm: 'model.norm',
  'blk.{l}.attn_norm': `${LAYER}.input_layernorm`,
  'blk.{l}.attn_q': `${LAYER}.self_attn.q_proj`,
  'blk.{l}.attn_k': `${LAYER}.self_attn.k_proj`,
  'blk.{l}.attn_v': `${LAYER}.self_attn.v_proj`,
  'blk.{l}.attn_q_norm': `${LAYER}.self_attn.q_norm`,
  'blk.{l}.attn_k_norm': `${LAYER}.self_attn.k_norm`,
  'blk.{l}.attn_output': `${LAYER}.self_attn.o_proj`,
  'blk.{l}.ffn_norm': `${LAYER}.post_attention_layernorm`,
  'blk.{l}.ffn_gate': `${LAYER}.mlp.gate_proj`,
  'blk.{l}.ffn_up': `${LAYER}.mlp.up_proj`,
  'blk.{l}.ffn_down': `${LAYER}.mlp.down_proj`,
});

/** What all of Llama's descendants say. */
function describeLlama(get: (key: string) => unknown): Record<string, unknown> {
  return {
    hidden_size: get('embedding_length'),
    num_hidden_layers: get('block_count'),
    intermediate_size: get('feed_forward_length'),
    max_position_embeddings: get('context_length'),
    num_attention_heads: get('attention.head_count'),
    num_key_value_heads: get('attention.head_count_kv') ?? get('attention.head_count'),
    rms_norm_eps: get('attention.layer_norm_rms_epsilon'),
    head_dim: get('attention.key_length'),
    rope_theta: get('rope.freq_base'),
    rope_scaling: describeScaling(get),
  };
}

function describeScaling(get: (key: string) => unknown): Record<string, unknown> | undefined {
  const kind = get('rope.scaling.type');
  if (kind === undefined || kind === 'none') return undefined;
  return {
    rope_type: kind,
    factor: get('rope.scaling.factor'),
    original_max_position_embeddings: get('rope.scaling.original_context_length'),
  };
}

const GEMMA_NAMES: Readonly<Record<string, GgufName>> = {
  ...LLAMA_NAMES,
  ...undone('PLUS_ONE', {
    output_norm: 'model.norm',
    'blk.{l}.attn_norm': `${LAYER}.input_layernorm`,
    'blk.{l}.post_attention_norm': `${LAYER}.post_attention_layernorm`,
    'blk.{l}.ffn_norm': `${LAYER}.pre_feedforward_layernorm`,
    'blk.{l}.post_ffw_norm': `${LAYER}.post_feedforward_layernorm`,
    'blk.{l}.attn_q_norm': `${LAYER}.self_attn.q_norm`,
    'blk.{l}.attn_k_norm': `${LAYER}.self_attn.k_norm`,
  }),
};

/** The largest Gemma of each generation scales scores by the width a head would have had; the file does not say so. */
function describeGemma(get: (key: string) => unknown, largest: number): Record<string, unknown> {
  const isLargest = get('block_count') === largest;
  const width = Number(get('embedding_length')) / Number(get('attention.head_count'));
  return {
    ...describeLlama(get),
    query_pre_attn_scalar: isLargest ? width : get('attention.key_length'),
    sliding_window: get('attention.sliding_window'),
    attn_logit_softcapping: get('attn_logit_softcapping') ?? null,
    final_logit_softcapping: get('final_logit_softcapping') ?? null,
  };
}

/** By `general.architecture`. */
export const GGUF_ARCHITECTURES: Readonly<Record<string, GgufArchitecture>> = {
  llama: {
    modelType: 'llama',
    // Its rotary positions pair neighbours, where Hugging Face pairs halves.
    names: {
      ...LLAMA_NAMES,
      'blk.{l}.attn_q': { name: `${LAYER}.self_attn.q_proj`, undo: 'ROTARY_QUERIES' },
      'blk.{l}.attn_k': { name: `${LAYER}.self_attn.k_proj`, undo: 'ROTARY_KEYS' },
    },
    describe: (get) => ({ ...describeLlama(get) }),
  },
  qwen2: { modelType: 'qwen2', names: LLAMA_NAMES, describe: (get) => describeLlama(get) },
  qwen3: { modelType: 'qwen3', names: LLAMA_NAMES, describe: (get) => describeLlama(get) },
  gemma2: { modelType: 'gemma2', names: GEMMA_NAMES, describe: (get) => describeGemma(get, 46) },
  gemma3: {
    modelType: 'gemma3_text',
    names: GEMMA_NAMES,
    describe: (get) => ({ ...describeGemma(get, 62), rope_local_base_freq: 10_000 }),
  },
  gpt2: {
    modelType: 'gpt2',
    names: {
      ...plain({
        token_embd: 'transformer.wte',
        position_embd: 'transformer.wpe',
        output: 'lm_head',
        output_norm: 'transformer.ln_f',
        'blk.{l}.attn_norm': 'transformer.h.{l}.ln_1',
        'blk.{l}.ffn_norm': 'transformer.h.{l}.ln_2',
      }),
      ...undone('TRANSPOSED', {
        'blk.{l}.attn_qkv': 'transformer.h.{l}.attn.c_attn',
        'blk.{l}.attn_output': 'transformer.h.{l}.attn.c_proj',
        'blk.{l}.ffn_up': 'transformer.h.{l}.mlp.c_fc',
        'blk.{l}.ffn_down': 'transformer.h.{l}.mlp.c_proj',
      }),
    },
    describe: (get) => ({
      n_embd: get('embedding_length'),
      n_layer: get('block_count'),
      n_inner: get('feed_forward_length'),
      n_positions: get('context_length'),
      n_head: get('attention.head_count'),
      layer_norm_epsilon: get('attention.layer_norm_epsilon'),
    }),
  },
  gptneox: {
    modelType: 'gpt_neox',
    names: {
      ...plain({
        token_embd: 'gpt_neox.embed_in',
        output: 'embed_out',
        output_norm: 'gpt_neox.final_layer_norm',
        'blk.{l}.attn_norm': 'gpt_neox.layers.{l}.input_layernorm',
        'blk.{l}.ffn_norm': 'gpt_neox.layers.{l}.post_attention_layernorm',
        'blk.{l}.attn_output': 'gpt_neox.layers.{l}.attention.dense',
        'blk.{l}.ffn_up': 'gpt_neox.layers.{l}.mlp.dense_h_to_4h',
        'blk.{l}.ffn_down': 'gpt_neox.layers.{l}.mlp.dense_4h_to_h',
      }),
      ...undone('HEADS_APART', { 'blk.{l}.attn_qkv': 'gpt_neox.layers.{l}.attention.query_key_value' }),
    },
    describe: (get) => ({
      hidden_size: get('embedding_length'),
      num_hidden_layers: get('block_count'),
      intermediate_size: get('feed_forward_length'),
      max_position_embeddings: get('context_length'),
      num_attention_heads: get('attention.head_count'),
      layer_norm_eps: get('attention.layer_norm_epsilon'),
      use_parallel_residual: get('use_parallel_residual') ?? true,
      rotary_pct: shareOfHead(get),
    }),
  },
};

/** The file tells how many numbers of a head are rotated, the configuration which share. */
function shareOfHead(get: (key: string) => unknown): number {
  const dHead = Number(get('embedding_length')) / Number(get('attention.head_count'));
  return Number(get('rope.dimension_count')) / dHead;
}
