/** A GGUF file: its metadata and where its tensors lie, checked before any weight is read. */
import { type GGUFTensorInfo, gguf, type MetadataValue } from '@huggingface/gguf';
import { type AppError, invalidInput } from '../../errors.ts';
import type { ByteSource } from '../safetensors.ts';
import { BLOCK_TYPES, type BlockType } from './blocks.ts';

export type GgufMetadata = Readonly<Record<string, MetadataValue>>;

/** A tensor as it lies in the file; `shape` has the rows first, as everywhere else (the format has them last). */
export interface GgufTensor {
  name: string;
  type: BlockType;
  shape: readonly number[];
  /** First byte and the one behind the last. */
  begin: number;
  end: number;
}

export interface GgufFile {
  metadata: GgufMetadata;
  tensors: ReadonlyMap<string, GgufTensor>;
}

/** Where tensors begin is a multiple of this unless the file says another. */
const ALIGNMENT = 32;

/**
 * Reads the header of `source`; `label` is the file's name in messages.
 * @throws {AppError} INVALID_INPUT when it is truncated, no GGUF, or has a tensor of a type that is not read.
 */
export async function readGgufHeader(source: ByteSource, label: string): Promise<GgufFile> {
  const { metadata: known, tensorInfos, tensorDataOffset } = await parse(source, label);
  // The library types what it has heard of; a file may say anything.
  const metadata: GgufMetadata = Object.fromEntries(Object.entries(known));
  if (Number(tensorDataOffset) > source.size) throw refuse(label, 'the file is cut off in its header');
  const alignment = Number(metadata['general.alignment'] ?? ALIGNMENT);
  const tensors = new Map<string, GgufTensor>();
  for (const info of tensorInfos) {
    const tensor = locate(info, Number(tensorDataOffset), label);
    if (tensors.has(info.name)) throw refuse(label, `tensor "${info.name}" is there twice`);
    if (tensor.end > source.size)
      throw refuse(
        label,
        `tensor "${info.name}" ends at byte ${tensor.end} of ${source.size}: the file is cut off`,
      );
    if (tensor.begin % alignment !== 0)
      throw refuse(
        label,
        `tensor "${info.name}" begins at byte ${tensor.begin}, no multiple of ${alignment}`,
      );
    tensors.set(info.name, tensor);
  }
  checkApart([...tensors.values()], label);
  return { metadata, tensors };
}

async function parse(source: ByteSource, label: string) {
  try {
    // The library reads by HTTP ranges; ours are of the source.
    return await gguf('https://file/', { fetch: rangesOf(source) });
  } catch (cause) {
    throw refuse(label, `its header cannot be read: ${(cause as Error).message}`);
  }
}

function rangesOf(source: ByteSource): typeof fetch {
  return async (_address, init) => {
    const range = new Headers(init?.headers).get('range') ?? '';
    const [, first, last] = /^bytes=(\d+)-(\d+)$/.exec(range) ?? [];
    const begin = Math.min(Number(first), source.size);
    const end = Math.min(Number(last) + 1, source.size);
    if (end <= begin) throw new Error('the file ends within its header');
    const bytes = await source.read(begin, end);
    const headers = { 'content-range': `bytes ${begin}-${end - 1}/${source.size}` };
    return new Response(new Uint8Array(bytes), { status: 206, headers });
  };
}

function locate(info: GGUFTensorInfo, dataOffset: number, label: string): GgufTensor {
  const { name } = info;
  const type = BLOCK_TYPES.get(info.dtype);
  if (!type) {
    const known = [...BLOCK_TYPES.values()].map((each) => each.name).join(', ');
    throw refuse(label, `tensor "${name}" has the type number ${info.dtype}; read are ${known}`);
  }
  const shape = info.shape.map(Number).reverse();
  const values = shape.reduce((product, dim) => product * dim, 1);
  const rowOf = shape.at(-1) ?? 1;
  if (
    shape.length === 0 ||
    shape.some((dim) => !Number.isSafeInteger(dim) || dim < 1) ||
    !Number.isSafeInteger(values)
  )
    throw refuse(label, `tensor "${name}" has the shape [${shape}]`);
  if (rowOf % type.values !== 0)
    throw refuse(
      label,
      `tensor "${name}" has rows of ${rowOf} values; ${type.name} needs a multiple of ${type.values}`,
    );
  const begin = dataOffset + Number(info.offset);
  return { name, type, shape, begin, end: begin + (values / type.values) * type.bytes };
}

/** Two tensors over the same bytes are no model that anyone trained. */
function checkApart(tensors: readonly GgufTensor[], label: string): void {
  const inOrder = [...tensors].sort((a, b) => a.begin - b.begin);
  inOrder.forEach((tensor, i) => {
    const before = inOrder[i - 1];
    if (before && before.end > tensor.begin)
      throw refuse(label, `tensors "${before.name}" and "${tensor.name}" overlap`);
  });
}

/** An error about the file of this name. */
export function refuse(label: string, why: string): AppError {
  return invalidInput([label], `${label}: ${why}`);
}

/** Blocks that are widened at a time. */
const BLOCKS_AT_ONCE = 1 << 15;

/** Values of a tensor in its order, `[values]` in pieces. */
export async function* readGgufFloats(source: ByteSource, tensor: GgufTensor): AsyncGenerator<Float32Array> {
  const { type, begin, end } = tensor;
  for (let at = begin; at < end; at += BLOCKS_AT_ONCE * type.bytes) {
    const bytes = await source.read(at, Math.min(at + BLOCKS_AT_ONCE * type.bytes, end));
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    const blocks = bytes.byteLength / type.bytes;
    const values = new Float32Array(blocks * type.values);
    for (let i = 0; i < blocks; i++) type.widen(view, i * type.bytes, values, i * type.values);
    yield values;
  }
}
