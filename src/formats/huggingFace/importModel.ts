/**
 * A Hugging Face GPT-2 checkpoint as a model of this engine. Its files are read by range: headers first, so that all
 * of it is checked before any weight is read, and then each weight once.
 */

import type { ModelConfig } from '../../engine/contract/model.ts';
import { weightShapes } from '../../engine/contract/modelShapes.ts';
import { type AppError, invalidInput } from '../../errors.ts';
import { nameLookalike } from '../lookalikes.ts';
import { type ByteSource, encodeHeader, malformed, readHeader } from '../safetensors.ts';
import type { TokenizerJson } from '../tokenizer.ts';
import { readConfig } from './config.ts';
import { FORMATS, readFloats, type StoredTensor } from './tensors.ts';
import { readTokenizer } from './tokenizer.ts';

const WHOLE = 'model.safetensors';
const INDEX = 'model.safetensors.index.json';
const PREFIX = 'transformer.';
/** Not weights: the unembedding, which is the embedding again, and causal masks. */
const IGNORED = /^lm_head\.weight$|^h\.\d+\.attn\.(masked_)?bias$/;
/** More than any such file has. */
const MAX_JSON_BYTES = 1 << 26;

/** The files of one checkpoint. */
export interface CheckpointFiles {
  /** The file of this name, which is open for as long as the checkpoint is; null where there is none. */
  open(name: string): Promise<ByteSource | null>;
}

export interface ImportedModel {
  config: ModelConfig;
  tokenizer: TokenizerJson;
  nParams: number;
  /** A `.safetensors` file with the weights as float32, in this engine's names. */
  weights: { bytes: number; chunks(): AsyncIterable<Uint8Array> };
}

/**
 * Opens a checkpoint and checks it; its weights are read when `weights.chunks()` is.
 * @throws {AppError} INVALID_INPUT naming the file and what in it is missing, malformed or not supported.
 */
export async function openCheckpoint(files: CheckpointFiles): Promise<ImportedModel> {
  const raw = await readJson(files, 'config.json');
  if (!raw) throw missing('config.json');
  const config = readConfig(raw);
  const text = await readText(files, 'tokenizer.json');
  if (text === null) throw missing('tokenizer.json');
  const settings = (await readJson(files, 'tokenizer_config.json')) ?? {};
  const tokenizer = readTokenizer(text, { eosId: raw.eos_token_id, settings, dVocab: config.dVocab });
  const shapes = weightShapes(config);
  const tensors = chooseTensors(await findTensors(files), shapes);
  const head = headOf(shapes);
  const nParams = Object.values(shapes).reduce((sum, shape) => sum + sizeOf(shape), 0);
  return {
    ...{ config, tokenizer, nParams },
    weights: {
      bytes: head.byteLength + 4 * nParams,
      async *chunks() {
        yield head;
        for (const tensor of tensors) yield* readFloats(tensor);
      },
    },
  };
}

function headOf(shapes: Readonly<Record<string, number[]>>): Buffer {
  const entries = Object.entries(shapes).map(([name, shape]) => [name, { dtype: 'F32', shape }] as const);
  return encodeHeader(Object.fromEntries(entries), { format: 'pt' });
}

/** The tensor of each weight, in the order of `shapes`. */
function chooseTensors(
  found: readonly StoredTensor[],
  shapes: Readonly<Record<string, number[]>>,
): StoredTensor[] {
  const byName = new Map<string, StoredTensor>();
  for (const tensor of found) {
    const name = tensor.name.startsWith(PREFIX) ? tensor.name.slice(PREFIX.length) : tensor.name;
    if (name in shapes) byName.set(name, tensor);
    else if (!IGNORED.test(name))
      throw invalidInput([tensor.label], `${tensor.label}: GPT-2 has no weight "${tensor.name}"`);
  }
  return Object.entries(shapes).map(([name, shape]) => {
    const tensor = byName.get(name);
    if (!tensor) throw invalidInput([WHOLE], `the checkpoint has no weight "${name}"`);
    checkTensor(tensor, shape);
    return tensor;
  });
}

function checkTensor({ name, label, dtype, shape }: StoredTensor, expected: readonly number[]): void {
  const refuse = (why: string) => invalidInput([label, name], `${label}: ${name} ${why}`);
  if (!Object.hasOwn(FORMATS, dtype))
    throw refuse(`is ${dtype}; supported are ${Object.keys(FORMATS).join(', ')}`);
  if (String(shape) !== String(expected))
    throw refuse(`has the shape [${shape}]; config.json makes it [${expected}]`);
}

/** Every tensor of the checkpoint, be it one file or several. */
async function findTensors(files: CheckpointFiles): Promise<StoredTensor[]> {
  const found: StoredTensor[] = [];
  for (const label of await listShards(files)) {
    const source = await files.open(label);
    if (!source) throw missing(label);
    const { tensors } = await readHeader(source, label);
    for (const [name, entry] of Object.entries(tensors)) found.push({ ...entry, name, source, label });
  }
  return found;
}

async function listShards(files: CheckpointFiles): Promise<string[]> {
  if (await files.open(WHOLE)) return [WHOLE];
  const index = await readJson(files, INDEX);
  if (!index) throw missing(`${WHOLE} or ${INDEX}`);
  const names = new Set(Object.values((index.weight_map ?? {}) as Record<string, unknown>));
  for (const name of names)
    if (typeof name !== 'string' || !/^[\w.-]+\.safetensors$/.test(name))
      throw malformed(INDEX, `its weight_map names "${String(name)}", which is not a file beside it`);
  return [...names] as string[];
}

async function readText(files: CheckpointFiles, name: string): Promise<string | null> {
  const source = await files.open(name);
  if (!source) return null;
  if (source.size > MAX_JSON_BYTES)
    throw invalidInput([name], `${name} has ${source.size} bytes; accepted are at most ${MAX_JSON_BYTES}`);
  const bytes = await source.read(0, source.size);
  const other = nameLookalike(bytes);
  if (other) throw invalidInput([name], `${name} is not JSON: ${other}`);
  // Drops a byte order mark, which JSON does not know.
  return new TextDecoder().decode(bytes);
}

async function readJson(files: CheckpointFiles, name: string): Promise<Record<string, unknown> | null> {
  const text = await readText(files, name);
  if (text === null) return null;
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value === 'object' && value !== null) return value as Record<string, unknown>;
  } catch (cause) {
    throw invalidInput([name], `${name} is not JSON: ${(cause as Error).message}`);
  }
  throw invalidInput([name], `${name} is not a JSON object`);
}

function missing(name: string): AppError {
  return invalidInput([name], `the checkpoint has no ${name}`);
}

function sizeOf(shape: readonly number[]): number {
  return shape.reduce((product, dim) => product * dim, 1);
}
