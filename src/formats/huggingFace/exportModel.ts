/** A stored model as a directory that transformers loads, made file by file while it is sent. */
import { open } from 'node:fs/promises';
import type { ModelRef } from '../../engine/contract/model.ts';
import { weightShapes } from '../../engine/contract/modelShapes.ts';
import { encodeHeader, readSafetensorsHeader, sourceOf } from '../safetensors.ts';
import { loadTokenizer, type TokenizerJson } from '../tokenizer.ts';
import { describeConfig, describeGeneration } from './config.ts';
import { describeTokenizer } from './tokenizer.ts';

/** The files of the directory. */
export const EXPORTED_FILES = [
  'config.json',
  'generation_config.json',
  'model.safetensors',
  'tokenizer.json',
  'tokenizer_config.json',
] as const;
export type ExportedFile = (typeof EXPORTED_FILES)[number];

/** As `GPT2LMHeadModel` calls its parts. */
const PREFIX = 'transformer.';
const BLOCK_BYTES = 1 << 20;

export interface FileContent {
  contentType: string;
  bytes: number;
  chunks(): AsyncIterable<Uint8Array>;
}

/** Opens one file of the model. @throws {AppError} INVALID_INPUT when the stored weights cannot be read. */
export async function openExported(model: ModelRef, name: ExportedFile): Promise<FileContent> {
  return name === 'model.safetensors' ? openWeights(model) : asJson(describe(model, name));
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

function asJson(value: unknown): FileContent {
  const bytes = Buffer.from(`${JSON.stringify(value, null, 2)}\n`);
  return {
    contentType: 'application/json',
    bytes: bytes.byteLength,
    async *chunks() {
      yield bytes;
    },
  };
}

async function openWeights({ weights: path, config }: ModelRef): Promise<FileContent> {
  const shapes = weightShapes(config);
  const { tensors } = await readSafetensorsHeader(path);
  const entries = Object.entries(shapes).map(
    ([name, shape]) => [PREFIX + name, { dtype: 'F32', shape }] as const,
  );
  const head = encodeHeader(Object.fromEntries(entries), { format: 'pt' });
  const ranges = Object.keys(shapes).map((name) => tensors[name]!);
  return {
    contentType: 'application/octet-stream',
    bytes: ranges.reduce((sum, { begin, end }) => sum + end - begin, head.byteLength),
    async *chunks() {
      yield head;
      const file = await open(path, 'r');
      try {
        const source = await sourceOf(file, 'the model');
        for (const { begin, end } of ranges)
          for (let at = begin; at < end; at += BLOCK_BYTES)
            yield await source.read(at, Math.min(at + BLOCK_BYTES, end));
      } finally {
        await file.close();
      }
    },
  };
}
