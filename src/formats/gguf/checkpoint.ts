/** A GGUF file as the Hugging Face checkpoint that it was made of: configuration, tokenizer, and tensors by their names there. */
import type { ByteSource } from '../safetensors.ts';
import type { TokenizerJson } from '../tokenizer.ts';
import { GGUF_ARCHITECTURES, type GgufArchitecture } from './architectures.ts';
import {
  type GgufFile,
  type GgufMetadata,
  type GgufTensor,
  readGgufFloats,
  readGgufHeader,
  refuse,
} from './file.ts';
import { readGgufChat, readGgufTokenizer } from './tokenizer.ts';
import { type Heads, undoConversion } from './undo.ts';

export interface GgufWeight {
  /** As the Hugging Face checkpoint has it. */
  name: string;
  /** The type that it is stored in, such as `Q4_1`. */
  dtype: string;
  shape: readonly number[];
  /** Its values in that order, `[values]` in pieces. */
  read(): AsyncIterable<Float32Array>;
}

export interface GgufCheckpoint {
  /** What `config.json` would say. */
  config: Record<string, unknown>;
  tokenizer: TokenizerJson;
  /** What `tokenizer_config.json` would say of special tokens. */
  settings: Record<string, string>;
  /** The chat template; null where there is none. */
  template: string | null;
  weights: readonly GgufWeight[];
}

/** Frequencies that a converter computed of a configuration that the file no longer has (Llama 3.1's scaling). */
const FREQUENCIES = 'rope_freqs.weight';

/**
 * Opens the file; weights are read when they are asked for.
 * @throws {AppError} INVALID_INPUT naming what of it is malformed or not supported.
 */
export async function openGguf(source: ByteSource, label: string): Promise<GgufCheckpoint> {
  const file = await readGgufHeader(source, label);
  const architecture = architectureOf(file.metadata, label);
  if (file.tensors.has(FREQUENCIES))
    throw refuse(label, `${FREQUENCIES}: scaled frequencies are read from a safetensors checkpoint only`);
  const tokenizer = readGgufTokenizer(file.metadata, label);
  const config = describe(file, architecture, tokenizer, label);
  const heads = headsOf(file.metadata, label);
  const weights = [...file.tensors.values()].map((tensor) =>
    weightOf(source, tensor, architecture, heads, label),
  );
  return { config, tokenizer, ...readGgufChat(file.metadata), weights };
}

function architectureOf(metadata: GgufMetadata, label: string): GgufArchitecture {
  const name = String(metadata['general.architecture']);
  if (Object.hasOwn(GGUF_ARCHITECTURES, name)) return GGUF_ARCHITECTURES[name]!;
  const known = Object.keys(GGUF_ARCHITECTURES).join(', ');
  throw refuse(label, `general.architecture is ${name}; supported are ${known}`);
}

/** Reads a key below the architecture's name; whole numbers of 64 bits as numbers. */
function reader(metadata: GgufMetadata): (key: string) => unknown {
  const prefix = String(metadata['general.architecture']);
  return (key) => {
    const value = metadata[`${prefix}.${key}`];
    return typeof value === 'bigint' ? Number(value) : value;
  };
}

function headsOf(metadata: GgufMetadata, label: string): Heads {
  const get = reader(metadata);
  const queries = get('attention.head_count');
  const keys = get('attention.head_count_kv') ?? queries;
  if (isCount(queries) && isCount(keys)) return { queries, keys };
  throw refuse(
    label,
    'attention.head_count and attention.head_count_kv must each be one whole number above 0',
  );
}

function isCount(value: unknown): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value > 0;
}

function describe(
  { metadata, tensors }: GgufFile,
  architecture: GgufArchitecture,
  tokenizer: TokenizerJson,
  label: string,
): Record<string, unknown> {
  const embeddings = tensors.get('token_embd.weight');
  if (!embeddings) throw refuse(label, 'it has no tensor "token_embd.weight"');
  const own = architecture.describe(reader(metadata), metadata);
  const said = Object.entries(own).filter(([, value]) => value !== undefined);
  const eos = tokenizer.added_tokens.find(({ content }) => content === tokenizer.eos_token);
  return {
    ...Object.fromEntries(said),
    model_type: architecture.modelType,
    vocab_size: embeddings.shape[0],
    tie_word_embeddings: !tensors.has('output.weight'),
    ...(eos && { eos_token_id: eos.id }),
  };
}

function weightOf(
  source: ByteSource,
  tensor: GgufTensor,
  { names }: GgufArchitecture,
  heads: Heads,
  label: string,
): GgufWeight {
  const [, stem = '', kind = ''] = /^(.+)\.(weight|bias)$/.exec(tensor.name) ?? [];
  const [, block] = /^blk\.(\d{1,6})\./.exec(stem) ?? [];
  const known = names[block === undefined ? stem : stem.replace(`blk.${block}.`, 'blk.{l}.')];
  if (!known) throw refuse(label, `there is no place for tensor "${tensor.name}"`);
  const { undo } = known;
  const turned = undo === 'TRANSPOSED' && tensor.shape.length === 2;
  return {
    name: `${known.name.replace('{l}', block ?? '')}.${kind}`,
    dtype: tensor.type.name,
    shape: turned ? [...tensor.shape].reverse() : tensor.shape,
    async *read() {
      if (!undo) return yield* readGgufFloats(source, tensor);
      yield undoConversion(undo, await readWhole(source, tensor), tensor.shape, heads);
    },
  };
}

async function readWhole(source: ByteSource, tensor: GgufTensor): Promise<Float32Array> {
  const whole = new Float32Array(tensor.shape.reduce((product, dim) => product * dim, 1));
  let at = 0;
  for await (const piece of readGgufFloats(source, tensor)) {
    whole.set(piece, at);
    at += piece.length;
  }
  return whole;
}
