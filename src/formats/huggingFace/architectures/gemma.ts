/**
 * Gemma 2 and the text models of Gemma 3: gains of 1 + w, norms on what blocks write too, scaled embeddings, and windows
 * in some blocks. Gemma 2 caps scores and logits; Gemma 3 norms queries and keys, and its windows rotate by a base of
 * their own.
 */
import type { ModelConfig } from '../../../engine/contract/model.ts';
import { decoderOf } from '../../../engine/contract/modelDecoder.ts';
import { ACTIVATION_NAMES, type ConfigReader } from '../configReader.ts';
import type { Architecture, StoredName } from './architecture.ts';
import {
  describeFamily,
  describeWindow,
  LLAMA_IGNORED,
  LLAMA_NAMES,
  readFamily,
  readWindow,
} from './llamaFamily.ts';
import { describeRotary, readBase, readRotary } from './rope.ts';

const NAMES: Readonly<Record<string, StoredName>> = {
  ...LLAMA_NAMES,
  'h.{l}.ln_1_out.weight': 'layers.{l}.post_attention_layernorm.weight',
  'h.{l}.ln_2.weight': 'layers.{l}.pre_feedforward_layernorm.weight',
  'h.{l}.ln_2_out.weight': 'layers.{l}.post_feedforward_layernorm.weight',
};
const DEFAULTS = {
  ...{ nLayers: 26, nHeads: 8, nKeyValueHeads: 4, dHead: 256, dModel: 2304, dMlp: 9216, tied: true },
};
const CAP = { above: 0, most: 1e6 };
const common = { prefix: 'model.', head: 'lm_head.weight', names: NAMES, ignored: LLAMA_IGNORED } as const;

export const gemma2: Architecture = {
  ...common,
  type: 'gemma2',
  className: 'Gemma2ForCausalLM',
  readConfig(reader) {
    const { decoder, ...config } = readCommon(reader, { nCtx: 8192, dVocab: 256_000, every: 2 });
    const cap = reader.isNull('attn_logit_softcapping')
      ? null
      : reader.number('attn_logit_softcapping', CAP, 50);
    const attention = { ...decoder.attention, cap };
    return {
      ...config,
      decoder: { ...decoder, architecture: 'gemma2', attention, logitCap: readCap(reader, 30) },
    };
  },
  describeConfig: (config) => ({
    ...describeCommon(config),
    attn_logit_softcapping: decoderOf(config).attention.cap,
  }),
};

export const gemma3: Architecture = {
  ...common,
  type: 'gemma3_text',
  className: 'Gemma3ForCausalLM',
  readConfig(reader) {
    reader.only('attn_logit_softcapping', null);
    const every = reader.size('sliding_window_pattern', 'layers', 6);
    const { decoder, ...config } = readCommon(reader, { nCtx: 131_072, dVocab: 262_208, every });
    const { dHead: dims, window } = decoder.attention;
    const defaults = { dims, nCtx: config.nCtx };
    const parameters = reader.inside('rope_parameters');
    const scaling = reader.inside('rope_scaling') ?? parameters?.inside('full_attention') ?? null;
    const rotary = readRotary(scaling, { ...defaults, base: readBase(reader, 'rope_theta', 1e6) });
    const ofWindow = readRotary(parameters?.inside('sliding_attention') ?? null, {
      ...{ ...defaults, base: readBase(reader, 'rope_local_base_freq', 10_000) },
    });
    const attention = {
      ...decoder.attention,
      normsQueriesKeys: true,
      window: window && { ...window, rotary: ofWindow },
    };
    return {
      ...config,
      decoder: {
        ...decoder,
        architecture: 'gemma3_text',
        rotary,
        attention,
        logitCap: readCap(reader, null),
      },
    };
  },
  describeConfig(config) {
    const { attention, rotary } = decoderOf(config);
    const ofWindow = attention.window?.rotary ?? { ...rotary!, base: 10_000, scaling: null };
    const full = describeRotary(rotary!);
    return {
      ...describeCommon(config),
      ...{ rope_theta: rotary!.base, rope_local_base_freq: ofWindow.base },
      rope_scaling: rotary!.scaling && full,
      rope_parameters: { full_attention: full, sliding_attention: describeRotary(ofWindow) },
    };
  },
};

function readCommon(
  reader: ConfigReader,
  { every, ...defaults }: { nCtx: number; dVocab: number; every: number },
) {
  reader.only('use_bidirectional_attention', false);
  const { decoder, ...sizes } = readFamily(reader, { ...DEFAULTS, ...defaults });
  const { nLayers, dModel } = sizes;
  const biased = reader.flag('attention_bias', false);
  const window = readWindow(reader, {
    nLayers,
    size: reader.isNull('sliding_window') ? null : reader.size('sliding_window', 'context', 4096),
    isSliding: (layer) => (layer + 1) % every !== 0,
  });
  const scale = 1 / Math.sqrt(reader.number('query_pre_attn_scalar', { above: 0, most: 1e6 }, 256));
  return {
    ...sizes,
    decoder: {
      ...decoder,
      ...{ norm: 'RMS_PLUS_ONE' as const, normsOutputs: true },
      mlp: { activation: reader.activation('hidden_activation', 'gelu_pytorch_tanh'), gated: true },
      attention: { ...decoder.attention, scale, window: window && { ...window, rotary: null } },
      biases: { ...decoder.biases, queriesKeysValues: biased, attentionOutput: biased },
      embeddingScale: Math.fround(Math.sqrt(dModel)),
    },
  };
}

/** `final_logit_softcapping`; null, unlike silence, means none. */
function readCap(reader: ConfigReader, fallback: number | null): number | null {
  if (reader.isNull('final_logit_softcapping')) return null;
  return reader.optionalNumber('final_logit_softcapping', CAP) ?? fallback;
}

function describeCommon(config: ModelConfig): Record<string, unknown> {
  const { attention, mlp, biases, logitCap } = decoderOf(config);
  return {
    ...describeFamily(config),
    ...describeWindow(config),
    query_pre_attn_scalar: scalarOf(attention.scale!),
    hidden_activation: ACTIVATION_NAMES[mlp.activation],
    final_logit_softcapping: logitCap,
    attention_bias: biases.queriesKeysValues,
    use_bidirectional_attention: false,
  };
}

/** What the scale was made of, a whole number wherever it is one. */
function scalarOf(scale: number): number {
  const scalar = 1 / scale ** 2;
  return Math.abs(scalar - Math.round(scalar)) < 1e-6 ? Math.round(scalar) : scalar;
}
