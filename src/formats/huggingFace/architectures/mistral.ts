/** Mistral: a Llama whose blocks see a sliding window. */
import { decoderOf } from '../../../engine/contract/modelDecoder.ts';
import { ACTIVATION_NAMES } from '../configReader.ts';
import type { Architecture } from './architecture.ts';
import { describeFamily, LLAMA_IGNORED, LLAMA_NAMES, readFamily } from './llamaFamily.ts';

const DEFAULTS = {
  ...{ nLayers: 32, nHeads: 32, nKeyValueHeads: 8, dHead: null, dModel: 4096, dMlp: 14_336 },
  ...{ nCtx: 131_072, dVocab: 32_000, tied: false },
};

export const mistral: Architecture = {
  type: 'mistral',
  className: 'MistralForCausalLM',
  prefix: 'model.',
  head: 'lm_head.weight',
  names: LLAMA_NAMES,
  ignored: LLAMA_IGNORED,

  readConfig(reader) {
    const { decoder, ...sizes } = readFamily(reader, DEFAULTS);
    // Null, unlike silence, means no window.
    const size = reader.isNull('sliding_window') ? null : reader.size('sliding_window', 'context', 4096);
    const layers = Array.from({ length: sizes.nLayers }, (_, layer) => layer);
    return {
      ...sizes,
      decoder: {
        ...decoder,
        architecture: 'mistral',
        mlp: { activation: reader.activation('hidden_act', 'silu'), gated: true },
        attention: { ...decoder.attention, window: size === null ? null : { size, layers, rotary: null } },
      },
    };
  },

  describeConfig(config) {
    const { attention, mlp } = decoderOf(config);
    return {
      ...describeFamily(config),
      sliding_window: attention.window?.size ?? null,
      hidden_act: ACTIVATION_NAMES[mlp.activation],
    };
  },
};
