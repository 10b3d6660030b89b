/** The table of a model's weights; no tensors, so that whoever moves checkpoints may ask. */
import type { ModelConfig } from './model.ts';
import { decoderOf } from './modelDecoder.ts';

/** One weight: its shape, what it is before any training, and whether training decays it. */
export interface WeightRow {
  shape: number[];
  initial: 'NORMAL' | 'ZEROS' | 'ONES';
  /** The block that writes with it into the residual stream; null for all other weights. */
  writesIn: number | null;
  decayed: boolean;
}

export type WeightTable = Readonly<Record<string, WeightRow>>;

/**
 * Every weight by name, in the order of the forward pass. The names are those of GPT-2's checkpoints, which stored
 * models have, and further ones for what GPT-2 lacks; projections are `[in, out]`, queries, keys and values beside one
 * another.
 */
export function modelWeights(config: ModelConfig): WeightTable {
  const { nLayers, nHeads, dModel, dMlp, nCtx, dVocab } = config;
  const decoder = decoderOf(config);
  const { nKeyValueHeads, dHead, normsQueriesKeys } = decoder.attention;
  const { biases, mlp } = decoder;
  const table: Record<string, WeightRow> = { 'wte.weight': matrix([dVocab, dModel]) };
  if (!decoder.rotary) table['wpe.weight'] = matrix([nCtx, dModel]);
  const project = (name: string, shape: [number, number], bias: boolean, writesIn: number | null = null) => {
    table[`${name}.weight`] = { ...matrix(shape), writesIn };
    if (bias) table[`${name}.bias`] = vector(shape[1], 'ZEROS');
  };
  const norm = (name: string, width = dModel) => {
    table[`${name}.weight`] = vector(width, decoder.norm === 'RMS_PLUS_ONE' ? 'ZEROS' : 'ONES');
    if (decoder.norm === 'LAYER') table[`${name}.bias`] = vector(width, 'ZEROS');
  };
  for (let layer = 0; layer < nLayers; layer++) {
    const at = `h.${layer}`;
    norm(`${at}.ln_1`);
    project(`${at}.attn.c_attn`, [dModel, (nHeads + 2 * nKeyValueHeads) * dHead], biases.queriesKeysValues);
    if (normsQueriesKeys) for (const part of ['q', 'k']) norm(`${at}.attn.${part}_norm`, dHead);
    project(`${at}.attn.c_proj`, [nHeads * dHead, dModel], biases.attentionOutput, layer);
    if (decoder.normsOutputs) norm(`${at}.ln_1_out`);
    if (layer < (mlp.missing ?? 0)) continue;
    norm(`${at}.ln_2`);
    if (mlp.gated) project(`${at}.mlp.c_gate`, [dModel, dMlp], biases.mlp);
    project(`${at}.mlp.c_fc`, [dModel, dMlp], biases.mlp);
    project(`${at}.mlp.c_proj`, [dMlp, dModel], biases.mlp, layer);
    if (decoder.normsOutputs) norm(`${at}.ln_2_out`);
  }
  norm('ln_f');
  if (!decoder.tied) table['lm_head.weight'] = matrix([dVocab, dModel]);
  return table;
}

/** How many numbers all weights have together. */
export function countWeights(table: WeightTable): number {
  return Object.values(table).reduce((sum, { shape }) => sum + shape.reduce((a, b) => a * b, 1), 0);
}

function matrix(shape: [number, number]): WeightRow {
  return { shape, initial: 'NORMAL', writesIn: null, decayed: true };
}

function vector(width: number, initial: 'ZEROS' | 'ONES'): WeightRow {
  return { shape: [width], initial, writesIn: null, decayed: false };
}
