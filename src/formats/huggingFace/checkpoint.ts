/** What a checkpoint consists of, as its files say it. */
import { type AppError, invalidInput } from '../../errors.ts';
import { openGguf } from '../gguf/checkpoint.ts';
import { nameLookalike } from '../lookalikes.ts';
import { type ByteSource, malformed, readHeader } from '../safetensors.ts';
import { type StoredTensor, safetensorsTensor } from './tensors.ts';

export const WHOLE = 'model.safetensors';
const INDEX = 'model.safetensors.index.json';
/** More than any such file has. */
const MAX_JSON_BYTES = 1 << 26;

/** The files of one checkpoint. */
export interface CheckpointFiles {
  /** The file of this name, which is open for as long as the checkpoint is; null where there is none. */
  open(name: string): Promise<ByteSource | null>;
}

export interface Checkpoint {
  /** `config.json`. */
  raw: Record<string, unknown>;
  /** The text of `tokenizer.json`. */
  tokenizer: string;
  /** `tokenizer_config.json`; empty where there is none. */
  settings: Record<string, unknown>;
  /** The chat template, where a file of its own or the GGUF metadata has it. */
  template: string | null;
  tensors: readonly StoredTensor[];
}

/**
 * The parts of a checkpoint in safetensors files; headers are read, weights are not.
 * @throws {AppError} INVALID_INPUT naming the file that is missing or malformed.
 */
export async function readCheckpoint(files: CheckpointFiles): Promise<Checkpoint> {
  const raw = await readJson(files, 'config.json');
  if (!raw) throw missing('config.json');
  const tokenizer = await readText(files, 'tokenizer.json');
  if (tokenizer === null) throw missing('tokenizer.json');
  const settings = (await readJson(files, 'tokenizer_config.json')) ?? {};
  const template = await readText(files, 'chat_template.jinja');
  return { raw, tokenizer, settings, template, tensors: await findTensors(files) };
}

/** The same of a GGUF file, which holds all of it. @throws {AppError} INVALID_INPUT as `openGguf` does. */
export async function readGguf(files: CheckpointFiles, name: string): Promise<Checkpoint> {
  const source = await files.open(name);
  if (!source) throw missing(name);
  const { config, tokenizer, template, settings, weights } = await openGguf(source, name);
  const tensors = weights.map((weight) => ({ ...weight, label: name, refusal: null }));
  return { raw: config, tokenizer: JSON.stringify(tokenizer), settings, template, tensors };
}

/** Every tensor of the checkpoint, be it one file or several. */
async function findTensors(files: CheckpointFiles): Promise<StoredTensor[]> {
  const found: StoredTensor[] = [];
  for (const label of await listShards(files)) {
    const source = await files.open(label);
    if (!source) throw missing(label);
    const { tensors } = await readHeader(source, label);
    for (const [name, entry] of Object.entries(tensors))
      found.push(safetensorsTensor(entry, { name, label, source }));
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
