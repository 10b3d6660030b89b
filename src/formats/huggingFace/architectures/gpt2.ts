/** GPT-2: learned positions, layer norm, tanh GELU, tied embeddings; the engine's own names are its. */
import type { ModelConfig } from '../../../engine/contract/model.ts';
import { decoderOf, gpt2Decoder } from '../../../engine/contract/modelDecoder.ts';
import { AppError } from '../../../errors.ts';
import { ACTIVATION_NAMES, type ConfigReader } from '../configReader.ts';
import type { Architecture } from './architecture.ts';

const BLOCK = ['ln_1', 'attn.c_attn', 'attn.c_proj', 'ln_2', 'mlp.c_fc', 'mlp.c_proj'];
const OWN = [
  ...['wte.weight', 'wpe.weight', 'ln_f.weight', 'ln_f.bias'],
  ...BLOCK.flatMap((part) => [`h.{l}.${part}.weight`, `h.{l}.${part}.bias`]),
];

export const gpt2: Architecture = {
  type: 'gpt2',
  className: 'GPT2LMHeadModel',
  prefix: 'transformer.',
  head: 'lm_head.weight',
  names: Object.fromEntries(OWN.map((name) => [name, name])),
  ignored: ['h.{l}.attn.bias', 'h.{l}.attn.masked_bias'],

  readConfig(reader: ConfigReader): ModelConfig {
    reader.only('scale_attn_weights', true);
    reader.only('scale_attn_by_inverse_layer_idx', false);
    reader.only('add_cross_attention', false);
    const nHeads = reader.size('n_head', 'heads', 12);
    const dModel = reader.size('n_embd', 'width', 768);
    if (dModel % nHeads !== 0) throw reader.unsupported('n_head', nHeads, `a divisor of n_embd, ${dModel}`);
    const activation = reader.activation('activation_function', 'gelu_new');
    const tied = reader.flag('tie_word_embeddings', true);
    const sizes = {
      nLayers: reader.size('n_layer', 'layers', 12),
      nHeads,
      dModel,
      dMlp: reader.optionalSize('n_inner', 'hidden') ?? 4 * dModel,
      nCtx: reader.size('n_positions', 'context', 1024),
      dVocab: reader.size('vocab_size', 'vocabulary', 50_257),
      layerNormEps: reader.number('layer_norm_epsilon', { above: 0, most: 1 }, 1e-5),
    };
    if (tied && activation === 'GELU_TANH') return sizes;
    return { ...sizes, decoder: { ...gpt2Decoder(sizes), tied, mlp: { activation, gated: false } } };
  },

  describeConfig(config) {
    const { nLayers, nHeads, dModel, dMlp, nCtx, dVocab, layerNormEps } = config;
    const { tied, mlp } = decoderOf(config);
    if (mlp.missing)
      throw new AppError(
        'INVALID_INPUT',
        `GPT-2's layout has an MLP in every block; ${mlp.missing} of this model have none, so it cannot be exported`,
      );
    return {
      ...{ vocab_size: dVocab, n_positions: nCtx, n_embd: dModel, n_layer: nLayers, n_head: nHeads },
      ...{ n_inner: dMlp, activation_function: ACTIVATION_NAMES[mlp.activation] },
      ...{ layer_norm_epsilon: layerNormEps, tie_word_embeddings: tied },
      ...{ scale_attn_weights: true, scale_attn_by_inverse_layer_idx: false },
      ...{ attn_pdrop: 0, embd_pdrop: 0, resid_pdrop: 0 },
    };
  },
};
