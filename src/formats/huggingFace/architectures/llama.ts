/** Llama 2 and 3, and what is built alike: SmolLM2, TinyLlama. */
import { decoderOf } from '../../../engine/contract/modelDecoder.ts';
import { ACTIVATION_NAMES } from '../configReader.ts';
import type { Architecture } from './architecture.ts';
import { describeFamily, LLAMA_IGNORED, LLAMA_NAMES, readFamily } from './llamaFamily.ts';

const DEFAULTS = {
  ...{ nLayers: 32, nHeads: 32, nKeyValueHeads: null, dHead: null, dModel: 4096, dMlp: 11_008 },
  ...{ nCtx: 2048, dVocab: 32_000, tied: false },
};

export const llama: Architecture = {
  type: 'llama',
  className: 'LlamaForCausalLM',
  prefix: 'model.',
  head: 'lm_head.weight',
  names: LLAMA_NAMES,
  ignored: LLAMA_IGNORED,

  readConfig(reader) {
    const { decoder, ...sizes } = readFamily(reader, DEFAULTS);
    const attention = reader.flag('attention_bias', false);
    return {
      ...sizes,
      decoder: {
        ...decoder,
        mlp: { activation: reader.activation('hidden_act', 'silu'), gated: true },
        biases: {
          queriesKeysValues: attention,
          attentionOutput: attention,
          mlp: reader.flag('mlp_bias', false),
        },
      },
    };
  },

  describeConfig(config) {
    const { biases, mlp } = decoderOf(config);
    return {
      ...describeFamily(config),
      ...{ attention_bias: biases.queriesKeysValues, mlp_bias: biases.mlp },
      hidden_act: ACTIVATION_NAMES[mlp.activation],
    };
  },
};
