/** A stored model as a directory that transformers loads, made file by file while it is sent. */
import { open } from 'node:fs/promises';
import type { ModelRef } from '../../engine/contract/model.ts';
import { type ByteSource, encodeHeader, readSafetensorsHeader, sourceOf } from '../safetensors.ts';
import { loadTokenizer, type TokenizerJson } from '../tokenizer.ts';
import { type StoredWeight, storedWeights } from './architectures/architecture.ts';
import { architectureOf, describeConfig, describeGeneration } from './config.ts';
import { describeTokenizer } from './tokenizer.ts';
import { splitParts } from './weights.ts';

/** The files of the directory. */
export const EXPORTED_FILES = [
  'config.json',
  'generation_config.json',
  'model.safetensors',
  'tokenizer.json',
  'tokenizer_config.json',
] as const;
export type ExportedFile = (typeof EXPORTED_FILES)[number];

const BLOCK_BYTES = 1 << 20;

export interface FileContent {
  contentType: string;
  bytes: number;
  chunks(): AsyncIterable<Uint8Array>;
}

/** Opens one file of the model. @throws {AppError} INVALID_INPUT when the stored weights cannot be read. */
export async function openExported(model: ModelRef, name: ExportedFile): Promise<FileContent> {
  if (name === 'model.safetensors') return openWeights(model);
  const json = JSON.stringify(describe(model, name), null, 2);
  // Elsewhere such names are tokens.
  return textOf(name === 'config.json' ? pointed(json) : json);
}

function describe(
  { config, tokenizer }: ModelRef,
  name: Exclude<ExportedFile, 'model.safetensors'>,
): unknown {
  const stored = tokenizer as TokenizerJson;
  switch (name) {
    case 'config.json':
      return describeConfig(config, loadTokenizer(stored));
    case 'generation_config.json':
      return describeGeneration(loadTokenizer(stored));
    case 'tokenizer.json':
      return describeTokenizer(stored, config.nCtx).json;
    case 'tokenizer_config.json':
      return describeTokenizer(stored, config.nCtx).settings;
  }
}

function textOf(json: string): FileContent {
  const bytes = Buffer.from(`${json}\n`);
  return {
    contentType: 'application/json',
    bytes: bytes.byteLength,
    async *chunks() {
      yield bytes;
    },
  };
}

/** Numbers that transformers takes as float only, which in JSON is one with a point. */
const FLOATS = [
  ...['attn_logit_softcapping', 'final_logit_softcapping', 'rope_theta', 'rope_local_base_freq'],
  ...['factor', 'low_freq_factor', 'high_freq_factor', 'attention_factor', 'beta_fast', 'beta_slow'],
  ...['partial_rotary_factor', 'rotary_pct', 'rotary_emb_base'],
];
const WHOLE_FLOAT = new RegExp(`^(\\s*"(?:${FLOATS.join('|')})": -?\\d+)(,?)$`, 'gm');

function pointed(json: string): string {
  return json.replace(WHOLE_FLOAT, '$1.0$2');
}

async function openWeights({ weights: path, config }: ModelRef): Promise<FileContent> {
  const { prefix, head: unembedding } = architectureOf(config);
  const weights = storedWeights(architectureOf(config), config);
  const { tensors } = await readSafetensorsHeader(path);
  const entries = weights
    .flatMap(({ parts }) => parts)
    .map(
      ({ name, shape }) => [name === unembedding ? name : prefix + name, { dtype: 'F32', shape }] as const,
    );
  const head = encodeHeader(Object.fromEntries(entries), { format: 'pt' });
  const ranges = weights.map((weight) => ({ weight, ...tensors[weight.name]! }));
  return {
    contentType: 'application/octet-stream',
    bytes: ranges.reduce((sum, { begin, end }) => sum + end - begin, head.byteLength),
    async *chunks() {
      yield head;
      const file = await open(path, 'r');
      try {
        const source = await sourceOf(file, 'the model');
        for (const range of ranges) yield* readStored(source, range);
      } finally {
        await file.close();
      }
    },
  };
}

/** The tensors of a weight one behind the other; whole ones only where values change their places. */
async function* readStored(
  source: ByteSource,
  { weight, begin, end }: { weight: StoredWeight; begin: number; end: number },
): AsyncGenerator<Uint8Array> {
  if (!weight.columns) {
    for (let at = begin; at < end; at += BLOCK_BYTES)
      yield await source.read(at, Math.min(at + BLOCK_BYTES, end));
    return;
  }
  const { buffer, byteLength } = await source.read(begin, end);
  for (const part of splitParts(weight, new Float32Array(buffer, 0, byteLength / 4)))
    yield Buffer.from(part.buffer);
}
