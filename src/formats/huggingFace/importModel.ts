/**
 * A Hugging Face checkpoint as a model of this engine. Its files are read by range: headers first, so that all of it is
 * checked before any weight is read, and then each weight once.
 */
import type { ModelConfig } from '../../engine/contract/model.ts';
import { decoderOf } from '../../engine/contract/modelDecoder.ts';
import { countWeights, modelWeights } from '../../engine/contract/modelWeights.ts';
import { type AppError, invalidInput } from '../../errors.ts';
import { nameLookalike } from '../lookalikes.ts';
import { type ByteSource, encodeHeader, malformed, readHeader } from '../safetensors.ts';
import type { TokenizerJson } from '../tokenizer.ts';
import { ignoredNames, type StoredWeight, storedWeights } from './architectures/architecture.ts';
import { architectureOf, readConfig } from './config.ts';
import { FORMATS, readAllFloats, readFloats, type StoredTensor } from './tensors.ts';
import { readTokenizer } from './tokenizer.ts';
import { joinParts } from './weights.ts';

const WHOLE = 'model.safetensors';
const INDEX = 'model.safetensors.index.json';
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
  const chosen = chooseTensors(await findTensors(files), config);
  if (chosen.unembedding) await checkTied(chosen.unembedding, chosen.weights[0]!.tensors[0]!);
  const head = headOf(config);
  const nParams = countWeights(modelWeights(config));
  return {
    ...{ config, tokenizer, nParams },
    weights: {
      bytes: head.byteLength + 4 * nParams,
      async *chunks() {
        yield head;
        for (const weight of chosen.weights) yield* readWeight(weight);
      },
    },
  };
}

function headOf(config: ModelConfig): Buffer {
  const entries = Object.entries(modelWeights(config)).map(
    ([name, { shape }]) => [name, { dtype: 'F32', shape }] as const,
  );
  return encodeHeader(Object.fromEntries(entries), { format: 'pt' });
}

/** A weight with the tensors of the checkpoint that it is made of. */
interface ChosenWeight {
  weight: StoredWeight;
  tensors: StoredTensor[];
}

/** The tensors of each weight, and an unembedding that should be the embeddings again. */
function chooseTensors(
  found: readonly StoredTensor[],
  config: ModelConfig,
): { weights: ChosenWeight[]; unembedding: StoredTensor | undefined } {
  const architecture = architectureOf(config);
  const { prefix, head, type } = architecture;
  const byName = new Map<string, StoredTensor>();
  for (const tensor of found) {
    const name = tensor.name.startsWith(prefix) ? tensor.name.slice(prefix.length) : tensor.name;
    if (byName.has(name)) throw invalidInput([tensor.label], `the checkpoint has "${tensor.name}" twice`);
    byName.set(name, tensor);
  }
  const take = (name: string, shape: readonly number[]) => {
    const tensor = byName.get(name);
    if (!tensor) throw invalidInput([WHOLE], `the checkpoint has no weight "${name}"`);
    byName.delete(name);
    checkTensor(tensor, shape);
    return tensor;
  };
  const unembedding = decoderOf(config).tied ? byName.get(head) : undefined;
  if (unembedding) take(head, [config.dVocab, config.dModel]);
  for (const name of ignoredNames(architecture, config)) byName.delete(name);
  const stored = storedWeights(architecture, config);
  const known = new Set(stored.flatMap(({ parts }) => parts.map(({ name }) => name)));
  for (const [name, { label, name: full }] of byName)
    if (!known.has(name))
      throw invalidInput([label], `${label}: by its config.json this ${type} model has no weight "${full}"`);
  const weights = stored.map((weight) => ({
    weight,
    tensors: weight.parts.map(({ name, shape }) => take(name, shape)),
  }));
  return { weights, unembedding };
}

/** @throws {AppError} INVALID_INPUT when the checkpoint has an unembedding that `config.json` says it has not. */
async function checkTied(unembedding: StoredTensor, embeddings: StoredTensor): Promise<void> {
  const [own, tied] = [readFloats(unembedding), readFloats(embeddings)];
  for (;;) {
    const [a, b] = await Promise.all([own.next(), tied.next()]);
    if (a.done && b.done) return;
    if (a.done || b.done || !a.value.equals(b.value)) break;
  }
  const { label, name } = unembedding;
  throw invalidInput(
    [label, name],
    `${label}: ${name} is not ${embeddings.name}, though tie_word_embeddings in config.json says so; set it to false to have ${name} used`,
  );
}

/** The values of a weight in this engine's order, as float32 bytes. */
async function* readWeight({ weight, tensors }: ChosenWeight): AsyncGenerator<Buffer> {
  if (!weight.columns) return yield* readFloats(tensors[0]!);
  const parts: Float32Array[] = [];
  for (const tensor of tensors) parts.push(await readAllFloats(tensor));
  const { buffer, byteLength } = joinParts(weight, parts);
  yield Buffer.from(buffer, 0, byteLength);
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
