/** How one architecture's checkpoints are written: its `config.json`, and its names for this engine's weights. */
import type { ModelConfig } from '../../../engine/contract/model.ts';
import { type ArchitectureName, decoderOf } from '../../../engine/contract/modelDecoder.ts';
import { modelWeights } from '../../../engine/contract/modelWeights.ts';
import type { ConfigReader } from '../configReader.ts';

export interface Architecture {
  /** Its `model_type`. */
  type: ArchitectureName;
  /** The class in transformers that computes logits with it. */
  className: string;
  /** What the names of all weights but the unembedding begin with; checkpoints of the bare model leave it out. */
  prefix: string;
  /** The name of an unembedding of its own. */
  head: string;
  /** By this engine's name, where the weight lies; `{l}` is the block. What a model lacks is passed over. */
  names: Readonly<Record<string, StoredName>>;
  /** What checkpoints hold that is no weight: masks, frequencies. */
  ignored: readonly string[];
  /** @throws {AppError} INVALID_INPUT naming what this engine does not compute, its value and what is supported. */
  readConfig(reader: ConfigReader): ModelConfig;
  /** The keys of `config.json` that are its own, such that `readConfig` reads the same configuration from them. */
  describeConfig(config: ModelConfig): Record<string, unknown>;
}

/** The name of a tensor that is stored as this engine has it, or how it is to be put together. */
export type StoredName = string | Transposed;

/** Tensors `[out, in]` (or biases `[out]`) which, transposed and beside one another, are the weight `[in, Σ out]`. */
export interface Transposed {
  transposed: readonly string[];
  /** Whether queries, keys and values alternate head by head; beside one another they stand as three blocks. */
  byHead?: boolean;
}

/** A weight with the tensors that it is made of. */
export interface StoredWeight {
  name: string;
  shape: readonly number[];
  /** Names without the prefix, shapes as stored. */
  parts: readonly { name: string; shape: readonly number[] }[];
  /** Null: its one part is the weight as it is. Otherwise the column of the weight at which each row of a part goes. */
  columns: ((part: number, row: number) => number) | null;
}

/** Where each weight of a model lies, in the order of `modelWeights`. */
export function storedWeights({ names, head }: Architecture, config: ModelConfig): StoredWeight[] {
  const named = new Map<string, StoredName>([['lm_head.weight', head]]);
  for (const [name, stored] of Object.entries(names))
    for (const layer of layersOf(name, config)) named.set(inLayer(name, layer), ofLayer(stored, layer));
  return Object.entries(modelWeights(config)).map(([name, { shape }]) => {
    const stored = named.get(name);
    if (stored === undefined) throw new Error(`the architecture has no name for ${name}`);
    if (typeof stored === 'string') return { name, shape, parts: [{ name: stored, shape }], columns: null };
    return { name, shape, ...transposedParts(stored, shape, config) };
  });
}

/** The names of everything in a checkpoint that is no weight, without the prefix. */
export function ignoredNames({ ignored }: Architecture, config: ModelConfig): Set<string> {
  return new Set(ignored.flatMap((name) => layersOf(name, config).map((layer) => inLayer(name, layer))));
}

function transposedParts(
  { transposed, byHead = false }: Transposed,
  shape: readonly number[],
  config: ModelConfig,
): Pick<StoredWeight, 'parts' | 'columns'> {
  const { nKeyValueHeads, dHead } = decoderOf(config).attention;
  const [queries, keys] = [config.nHeads * dHead, nKeyValueHeads * dHead];
  const widths = transposed.length === 3 ? [queries, keys, keys] : [shape.at(-1)!];
  const starts = [0, queries, queries + keys];
  const parts = transposed.map((name, i) => ({ name, shape: [widths[i]!, ...shape.slice(0, -1)] }));
  // Rows are counted by (head, one of three, number) and go to (one of three, head, number).
  const alternating = (row: number) =>
    starts[Math.floor(row / dHead) % 3]! + Math.floor(row / (3 * dHead)) * dHead + (row % dHead);
  return { parts, columns: (part, row) => (byHead ? alternating(row) : starts[part]! + row) };
}

function layersOf(name: string, { nLayers }: ModelConfig): number[] {
  return name.includes('{l}') ? Array.from({ length: nLayers }, (_, layer) => layer) : [0];
}

function inLayer(name: string, layer: number): string {
  return name.replace('{l}', String(layer));
}

function ofLayer(stored: StoredName, layer: number): StoredName {
  if (typeof stored === 'string') return inLayer(stored, layer);
  return { ...stored, transposed: stored.transposed.map((name) => inLayer(name, layer)) };
}
