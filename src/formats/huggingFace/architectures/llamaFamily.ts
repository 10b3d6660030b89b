/** What the checkpoints of Llama and of those that followed it have in common. */
import type { ModelConfig } from '../../../engine/contract/model.ts';
import { type Decoder, decoderOf } from '../../../engine/contract/modelDecoder.ts';
import type { ConfigReader } from '../configReader.ts';
import type { StoredName } from './architecture.ts';
import { describeRope, readBase, readRotary, ropeParameters } from './rope.ts';

const ATTENTION = 'layers.{l}.self_attn';
const MLP = 'layers.{l}.mlp';
const queriesKeysValues = (kind: string) => ({
  transposed: ['q', 'k', 'v'].map((part) => `${ATTENTION}.${part}_proj.${kind}`),
});
const projection = (name: string) => ({
  weight: { transposed: [`${name}.weight`] },
  bias: `${name}.bias`,
});
const [output, gate, up, down] = [
  `${ATTENTION}.o_proj`,
  ...['gate', 'up', 'down'].map((part) => `${MLP}.${part}_proj`),
].map((name) => projection(name)) as [Projection, Projection, Projection, Projection];
type Projection = ReturnType<typeof projection>;

export const LLAMA_NAMES: Readonly<Record<string, StoredName>> = {
  'wte.weight': 'embed_tokens.weight',
  'h.{l}.ln_1.weight': 'layers.{l}.input_layernorm.weight',
  'h.{l}.attn.c_attn.weight': queriesKeysValues('weight'),
  'h.{l}.attn.c_attn.bias': queriesKeysValues('bias'),
  'h.{l}.attn.q_norm.weight': `${ATTENTION}.q_norm.weight`,
  'h.{l}.attn.k_norm.weight': `${ATTENTION}.k_norm.weight`,
  'h.{l}.attn.c_proj.weight': output.weight,
  'h.{l}.attn.c_proj.bias': output.bias,
  'h.{l}.ln_2.weight': 'layers.{l}.post_attention_layernorm.weight',
  'h.{l}.mlp.c_gate.weight': gate.weight,
  'h.{l}.mlp.c_gate.bias': gate.bias,
  'h.{l}.mlp.c_fc.weight': up.weight,
  'h.{l}.mlp.c_fc.bias': up.bias,
  'h.{l}.mlp.c_proj.weight': down.weight,
  'h.{l}.mlp.c_proj.bias': down.bias,
  'ln_f.weight': 'norm.weight',
};

/** Frequencies of rotary positions, in checkpoints of older versions. */
export const LLAMA_IGNORED = [`${ATTENTION}.rotary_emb.inv_freq`, 'rotary_emb.inv_freq'];

/** Where the members of the family differ when a configuration is silent. */
export interface FamilyDefaults {
  nLayers: number;
  nHeads: number;
  /** Null: as many as heads. */
  nKeyValueHeads: number | null;
  /** Null: hidden_size / num_attention_heads. */
  dHead: number | null;
  dModel: number;
  dMlp: number;
  nCtx: number;
  dVocab: number;
  tied: boolean;
}

/** The configuration of a plain Llama, for the members to add to. */
export function readFamily(
  reader: ConfigReader,
  defaults: FamilyDefaults,
): ModelConfig & { decoder: Decoder } {
  const nHeads = reader.size('num_attention_heads', 'heads', defaults.nHeads);
  const dModel = reader.size('hidden_size', 'width', defaults.dModel);
  const nCtx = reader.size('max_position_embeddings', 'context', defaults.nCtx);
  reader.only('partial_rotary_factor', 1);
  const dHead = readHeadSize(reader, { nHeads, dModel, fallback: defaults.dHead });
  const rotary = readRotary(ropeParameters(reader), {
    ...{ dims: dHead, nCtx, base: readBase(reader, 'rope_theta', 10_000) },
  });
  return {
    nLayers: reader.size('num_hidden_layers', 'layers', defaults.nLayers),
    nHeads,
    dModel,
    dMlp: reader.size('intermediate_size', 'hidden', defaults.dMlp),
    nCtx,
    dVocab: reader.size('vocab_size', 'vocabulary', defaults.dVocab),
    layerNormEps: reader.number('rms_norm_eps', { above: 0, most: 1 }, 1e-6),
    decoder: {
      architecture: 'llama',
      norm: 'RMS',
      normsOutputs: false,
      parallel: false,
      rotary,
      attention: {
        nKeyValueHeads: readKeyValueHeads(reader, nHeads, defaults.nKeyValueHeads),
        dHead,
        cap: null,
        normsQueriesKeys: false,
        window: null,
      },
      mlp: { activation: 'SILU', gated: true },
      biases: { queriesKeysValues: false, attentionOutput: false, mlp: false },
      embeddingScale: 1,
      logitCap: null,
      tied: reader.flag('tie_word_embeddings', defaults.tied),
    },
  };
}

function readHeadSize(
  reader: ConfigReader,
  { nHeads, dModel, fallback }: { nHeads: number; dModel: number; fallback: number | null },
): number {
  const given = reader.optionalSize('head_dim', 'width') ?? fallback;
  if (given === null && dModel % nHeads !== 0)
    throw reader.unsupported('num_attention_heads', nHeads, `a divisor of hidden_size, ${dModel}`);
  const dHead = given ?? dModel / nHeads;
  if (dHead % 2 === 0) return dHead;
  throw reader.unsupported('head_dim', dHead, 'an even number, for rotary positions take pairs');
}

function readKeyValueHeads(reader: ConfigReader, nHeads: number, fallback: number | null): number {
  const count = reader.size('num_key_value_heads', 'heads', fallback ?? nHeads);
  if (nHeads % count === 0) return count;
  throw reader.unsupported('num_key_value_heads', count, `a divisor of num_attention_heads, ${nHeads}`);
}

/** The keys of `readFamily`. */
export function describeFamily(config: ModelConfig): Record<string, unknown> {
  const { attention, rotary, tied } = decoderOf(config);
  return {
    ...{ vocab_size: config.dVocab, max_position_embeddings: config.nCtx, hidden_size: config.dModel },
    ...{ num_hidden_layers: config.nLayers, intermediate_size: config.dMlp },
    ...{ num_attention_heads: config.nHeads, num_key_value_heads: attention.nKeyValueHeads },
    ...{ head_dim: attention.dHead, rms_norm_eps: config.layerNormEps },
    ...{ tie_word_embeddings: tied, attention_dropout: 0 },
    ...describeRope(rotary!),
  };
}

const KINDS = ['full_attention', 'sliding_attention'] as const;

/**
 * Blocks with a sliding window: those that `layer_types` names, or else those that `isSliding` tells; null where there
 * are none. The size stands at `sliding_window`.
 */
export function readWindow(
  reader: ConfigReader,
  {
    nLayers,
    size,
    isSliding,
  }: { nLayers: number; size: number | null; isSliding: (layer: number) => boolean },
): { size: number; layers: number[] } | null {
  const kinds = reader.list('layer_types', KINDS, nLayers);
  const layers = Array.from({ length: nLayers }, (_, layer) => layer).filter((layer) =>
    kinds ? kinds[layer] === 'sliding_attention' : isSliding(layer),
  );
  if (layers.length === 0) return null;
  if (size !== null) return { size, layers };
  throw reader.unsupported(
    'layer_types',
    'sliding_attention',
    'full_attention, for there is no sliding_window',
  );
}

/** `layer_types` and `sliding_window`. */
export function describeWindow(config: ModelConfig): Record<string, unknown> {
  const { window } = decoderOf(config).attention;
  return {
    sliding_window: window?.size ?? null,
    layer_types: Array.from({ length: config.nLayers }, (_, layer) =>
      window?.layers.includes(layer) ? KINDS[1] : KINDS[0],
    ),
  };
}
