/** Qwen 2 and 2.5: biases of queries, keys and values. Qwen 3: norms of queries and keys, heads of their own size. */
import type { ModelConfig } from '../../../engine/contract/model.ts';
import { decoderOf } from '../../../engine/contract/modelDecoder.ts';
import { ACTIVATION_NAMES, type ConfigReader } from '../configReader.ts';
import type { Architecture } from './architecture.ts';
import {
  describeFamily,
  describeWindow,
  LLAMA_IGNORED,
  LLAMA_NAMES,
  readFamily,
  readWindow,
} from './llamaFamily.ts';

const DEFAULTS = {
  ...{ nLayers: 32, nHeads: 32, nKeyValueHeads: 32, dModel: 4096, dMlp: 22_016 },
  ...{ nCtx: 32_768, dVocab: 151_936, tied: false },
};

const common = {
  prefix: 'model.',
  head: 'lm_head.weight',
  names: LLAMA_NAMES,
  ignored: LLAMA_IGNORED,
} as const;

export const qwen2: Architecture = {
  ...common,
  type: 'qwen2',
  className: 'Qwen2ForCausalLM',
  readConfig(reader) {
    const { decoder, ...config } = readCommon(reader, null);
    const biases = { ...decoder.biases, queriesKeysValues: true };
    return { ...config, decoder: { ...decoder, architecture: 'qwen2', biases } };
  },
  describeConfig: describeCommon,
};

export const qwen3: Architecture = {
  ...common,
  type: 'qwen3',
  className: 'Qwen3ForCausalLM',
  readConfig(reader) {
    const { decoder, ...config } = readCommon(reader, 128);
    const biased = reader.flag('attention_bias', false);
    const attention = { ...decoder.attention, normsQueriesKeys: true };
    const biases = { ...decoder.biases, queriesKeysValues: biased, attentionOutput: biased };
    return { ...config, decoder: { ...decoder, architecture: 'qwen3', attention, biases } };
  },
  describeConfig: (config) => ({
    ...describeCommon(config),
    attention_bias: decoderOf(config).biases.queriesKeysValues,
  }),
};

function readCommon(reader: ConfigReader, dHead: number | null) {
  const { decoder, ...sizes } = readFamily(reader, { ...DEFAULTS, dHead });
  const { nLayers } = sizes;
  const sliding = reader.flag('use_sliding_window', false);
  const firstSliding = reader.optionalSize('max_window_layers', 'layers') ?? 28;
  const window = readWindow(reader, {
    nLayers,
    size: sliding ? reader.size('sliding_window', 'context', 4096) : null,
    isSliding: (layer) => sliding && layer >= firstSliding,
  });
  return {
    ...sizes,
    decoder: {
      ...decoder,
      mlp: { activation: reader.activation('hidden_act', 'silu'), gated: true },
      attention: { ...decoder.attention, window: window && { ...window, rotary: null } },
    },
  };
}

function describeCommon(config: ModelConfig): Record<string, unknown> {
  const { attention, mlp } = decoderOf(config);
  return {
    ...describeFamily(config),
    ...describeWindow(config),
    use_sliding_window: attention.window !== null,
    hidden_act: ACTIVATION_NAMES[mlp.activation],
  };
}
