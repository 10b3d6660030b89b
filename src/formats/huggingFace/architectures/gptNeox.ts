/** GPT-NeoX (Pythia): rotary positions on part of each head, attention and MLP side by side, an unembedding of its own. */
import { decoderOf } from '../../../engine/contract/modelDecoder.ts';
import { ACTIVATION_NAMES } from '../configReader.ts';
import type { Architecture, StoredName } from './architecture.ts';
import { describeRope, readBase, readRotary, ropeParameters } from './rope.ts';

const projection = (own: string, stored: string, byHead = false): [string, StoredName][] =>
  ['weight', 'bias'].map((kind) => [
    `h.{l}.${own}.${kind}`,
    { transposed: [`layers.{l}.${stored}.${kind}`], byHead },
  ]);
const norm = (own: string, stored: string): [string, StoredName][] =>
  ['weight', 'bias'].map((kind) => [`${own}.${kind}`, `${stored}.${kind}`]);

export const gptNeox: Architecture = {
  type: 'gpt_neox',
  className: 'GPTNeoXForCausalLM',
  prefix: 'gpt_neox.',
  head: 'embed_out.weight',
  names: Object.fromEntries([
    ['wte.weight', 'embed_in.weight'],
    ...norm('h.{l}.ln_1', 'layers.{l}.input_layernorm'),
    ...projection('attn.c_attn', 'attention.query_key_value', true),
    ...projection('attn.c_proj', 'attention.dense'),
    ...norm('h.{l}.ln_2', 'layers.{l}.post_attention_layernorm'),
    ...projection('mlp.c_fc', 'mlp.dense_h_to_4h'),
    ...projection('mlp.c_proj', 'mlp.dense_4h_to_h'),
    ...norm('ln_f', 'final_layer_norm'),
  ]),
  ignored: ['bias', 'masked_bias', 'rotary_emb.inv_freq'].map((name) => `layers.{l}.attention.${name}`),

  readConfig(reader) {
    const nHeads = reader.size('num_attention_heads', 'heads', 64);
    const dModel = reader.size('hidden_size', 'width', 6144);
    if (dModel % nHeads !== 0)
      throw reader.unsupported('num_attention_heads', nHeads, `a divisor of hidden_size, ${dModel}`);
    const dHead = dModel / nHeads;
    const nCtx = reader.size('max_position_embeddings', 'context', 2048);
    const parameters = ropeParameters(reader);
    const holder = parameters?.has('partial_rotary_factor') ? parameters : reader;
    const key = holder === reader ? 'rotary_pct' : 'partial_rotary_factor';
    const share = holder.number(key, { above: 0, most: 1 }, 0.25);
    const dims = Math.trunc(dHead * share);
    if (dims < 2 || dims % 2 !== 0)
      throw holder.unsupported(key, share, `a share of the head's ${dHead} numbers that is even`);
    const base = readBase(reader, 'rope_theta', readBase(reader, 'rotary_emb_base', 10_000));
    const biased = reader.flag('attention_bias', true);
    return {
      nLayers: reader.size('num_hidden_layers', 'layers', 44),
      nHeads,
      dModel,
      dMlp: reader.size('intermediate_size', 'hidden', 24_576),
      nCtx,
      dVocab: reader.size('vocab_size', 'vocabulary', 50_432),
      layerNormEps: reader.number('layer_norm_eps', { above: 0, most: 1 }, 1e-5),
      decoder: {
        architecture: 'gpt_neox',
        norm: 'LAYER',
        normsOutputs: false,
        parallel: reader.flag('use_parallel_residual', true),
        rotary: readRotary(parameters, { dims, base, nCtx, partial: true }),
        attention: { nKeyValueHeads: nHeads, dHead, cap: null, normsQueriesKeys: false, window: null },
        mlp: { activation: reader.activation('hidden_act', 'gelu'), gated: false },
        biases: { queriesKeysValues: biased, attentionOutput: biased, mlp: true },
        embeddingScale: 1,
        logitCap: null,
        tied: reader.flag('tie_word_embeddings', false),
      },
    };
  },

  describeConfig(config) {
    const { parallel, rotary, mlp, attention, biases, tied } = decoderOf(config);
    const share = rotary!.dims / attention.dHead;
    const { rope_parameters, ...rope } = describeRope(rotary!);
    return {
      ...{ vocab_size: config.dVocab, max_position_embeddings: config.nCtx, hidden_size: config.dModel },
      ...{ num_hidden_layers: config.nLayers, num_attention_heads: config.nHeads },
      ...{ intermediate_size: config.dMlp, layer_norm_eps: config.layerNormEps },
      ...{ hidden_act: ACTIVATION_NAMES[mlp.activation], use_parallel_residual: parallel },
      ...{ attention_bias: biases.queriesKeysValues, tie_word_embeddings: tied },
      ...{ rotary_pct: share, rotary_emb_base: rotary!.base, ...rope },
      rope_parameters: { ...(rope_parameters as object), partial_rotary_factor: share },
      ...{ attention_dropout: 0, hidden_dropout: 0 },
    };
  },
};
