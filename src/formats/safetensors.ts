/**
 * The `.safetensors` format (https://huggingface.co/docs/safetensors): 8 bytes of header length, a JSON header,
 * then raw little-endian tensors. Weights, checkpoints and SAEs are all such files.
 */
import { createHash } from 'node:crypto';
import { type FileHandle, open, rename, rm } from 'node:fs/promises';
import { basename } from 'node:path';
import type { Arrays, ArrayValue } from '../engine/contract/arrays.ts';
import type { WrittenFile } from '../engine/contract/writtenFile.ts';
import { AppError } from '../errors.ts';
import {
  type ByteSource,
  LENGTH_BYTES,
  malformed,
  readHeader,
  type SafetensorsHeader,
  type TensorEntry,
} from './safetensorsHeader.ts';

const DTYPES = { F32: Float32Array, I32: Int32Array } as const;
type Dtype = keyof typeof DTYPES;

export { type ByteSource, malformed, readHeader, type TensorEntry } from './safetensorsHeader.ts';

/**
 * Writes tensors and string metadata to `path` through a temporary file and a rename, so that a reader or a
 * crash never meets half a file; equal contents give equal bytes and so an equal hash.
 */
export function writeSafetensors(
  path: string,
  arrays: Arrays,
  metadata: Record<string, string> = {},
): Promise<WrittenFile> {
  return writeChunks(path, chunksOf(arrays, metadata));
}

function* chunksOf(arrays: Arrays, metadata: Record<string, string>): Generator<Buffer> {
  yield encodeHeader(typesOf(arrays), metadata);
  for (const array of Object.values(arrays)) yield bytesOf(array);
}

/** Writes a file piece by piece, as `writeSafetensors` does. */
export async function writeChunks(
  path: string,
  chunks: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
): Promise<WrittenFile> {
  const temporary = `${path}.${process.pid}.tmp`;
  const hash = createHash('sha256');
  let bytes = 0;
  const file = await open(temporary, 'w');
  try {
    for await (const chunk of chunks) {
      hash.update(chunk);
      for (let done = 0; done < chunk.byteLength; ) {
        done += (await file.write(chunk, done, chunk.byteLength - done)).bytesWritten;
      }
      bytes += chunk.byteLength;
    }
    await file.sync();
    await file.close();
    await rename(temporary, path);
  } catch (error) {
    await file.close().catch(() => undefined);
    await rm(temporary, { force: true });
    throw error;
  }
  return { path, sha256: hash.digest('hex'), bytes };
}

/**
 * Reads the header alone of a file that this server wrote: names, types, shapes and metadata.
 * @throws {AppError} UNAVAILABLE when the file is not well-formed safetensors, which is not the caller's fault.
 */
export function readSafetensorsHeader(path: string): Promise<SafetensorsHeader> {
  return withOwnFile(path, async (file) => readHeader(await sourceOf(file, basename(path)), basename(path)));
}

/**
 * Reads all tensors, or only those in `names`, each by its own byte range, of a file that this server wrote.
 * @throws {AppError} UNAVAILABLE when the file is malformed, a name is missing or a type is neither F32 nor I32.
 */
export function readSafetensors(
  path: string,
  names?: readonly string[],
): Promise<{ arrays: Arrays; metadata: Record<string, string> }> {
  const label = basename(path);
  return withOwnFile(path, async (file) => {
    const { tensors, metadata } = await readHeader(await sourceOf(file, label), label);
    const arrays: [string, ArrayValue][] = [];
    for (const name of names ?? Object.keys(tensors)) {
      arrays.push([name, await readTensor(file, label, name, entryOf(tensors, name, label))]);
    }
    return { arrays: Object.fromEntries(arrays), metadata };
  });
}

/** Bytes of an element, of the types that are written. */
const WIDTHS = { F32: 4, I32: 4, U8: 1 } as const;

/**
 * The tensors in `names` one by one, so that whoever passes them on need not hold all. The names are looked up, and `check`
 * sees the shapes, before anything is read.
 * @throws {AppError} as `readSafetensors` does.
 */
export async function* eachTensor(
  path: string,
  names: readonly string[],
  check: (name: string, shape: readonly number[]) => void,
): AsyncGenerator<[name: string, tensor: ArrayValue]> {
  const label = basename(path);
  const file = await open(path, 'r');
  try {
    const entries = await ofOwnFile(async () => {
      const { tensors } = await readHeader(await sourceOf(file, label), label);
      return names.map((name) => [name, entryOf(tensors, name, label)] as const);
    });
    for (const [name, { shape }] of entries) check(name, shape);
    for (const [name, entry] of entries)
      yield [name, await ofOwnFile(() => readTensor(file, label, name, entry))];
  } finally {
    await file.close();
  }
}

function entryOf(tensors: SafetensorsHeader['tensors'], name: string, label: string): TensorEntry {
  if (!Object.hasOwn(tensors, name)) throw malformed(label, `it has no tensor '${name}'`);
  return tensors[name]!;
}

/** What stands before the tensors of these types and shapes, which follow in this order without gaps. */
export function encodeHeader(
  tensors: Readonly<Record<string, { dtype: keyof typeof WIDTHS; shape: readonly number[] }>>,
  metadata: Record<string, string>,
): Buffer {
  const header: Record<string, unknown> = {};
  if (Object.keys(metadata).length > 0) header.__metadata__ = metadata;
  let offset = 0;
  for (const [name, { dtype, shape }] of Object.entries(tensors)) {
    const end = offset + WIDTHS[dtype] * shape.reduce((product, size) => product * size, 1);
    header[name] = { dtype, shape, data_offsets: [offset, end] };
    offset = end;
  }
  const json = Buffer.from(JSON.stringify(header));
  const padded = Math.ceil(json.byteLength / 8) * 8; // keeps the tensors aligned; spaces end the JSON
  const buffer = Buffer.alloc(LENGTH_BYTES + padded, ' ');
  buffer.writeBigUInt64LE(BigInt(padded));
  json.copy(buffer, LENGTH_BYTES);
  return buffer;
}

function typesOf(arrays: Arrays): Record<string, { dtype: Dtype; shape: readonly number[] }> {
  const entries = Object.entries(arrays).map(([name, { data, shape }]) => {
    const dtype: Dtype = data instanceof Float32Array ? 'F32' : 'I32';
    return [name, { dtype, shape }] as const;
  });
  return Object.fromEntries(entries);
}

function bytesOf({ data }: ArrayValue): Buffer {
  return Buffer.from(data.buffer, data.byteOffset, data.byteLength);
}

async function withOwnFile<T>(path: string, use: (file: FileHandle) => Promise<T>): Promise<T> {
  const file = await open(path, 'r');
  try {
    return await ofOwnFile(() => use(file));
  } finally {
    await file.close();
  }
}

/** What is wrong with a file that this server wrote is not the caller's fault. */
async function ofOwnFile<T>(read: () => Promise<T>): Promise<T> {
  try {
    return await read();
  } catch (error) {
    if (!(error instanceof AppError)) throw error;
    throw new AppError('UNAVAILABLE', `a file of the server is damaged: ${error.message}`, { cause: error });
  }
}

/** A file as a source; the caller closes it. `label` names it in messages. */
export async function sourceOf(file: FileHandle, label: string): Promise<ByteSource> {
  const { size } = await file.stat();
  return {
    size,
    async read(begin, end) {
      // In memory of its own, which begins where any typed array may.
      const buffer = Buffer.from(new ArrayBuffer(end - begin));
      await readInto(file, label, buffer, begin);
      return buffer;
    },
  };
}

async function readTensor(
  file: FileHandle,
  label: string,
  name: string,
  { dtype, shape, begin, end }: TensorEntry,
): Promise<ArrayValue> {
  if (!(dtype in DTYPES)) throw malformed(label, `tensor '${name}' is ${dtype}; F32 and I32 are accepted`);
  const data = new DTYPES[dtype as Dtype]((end - begin) / 4);
  await readInto(file, label, Buffer.from(data.buffer), begin);
  return { data, shape };
}

/** Fills the buffer from byte `begin` on. @throws {AppError} INVALID_INPUT when the file, named `label`, ends early. */
export async function readInto(
  file: FileHandle,
  label: string,
  buffer: Buffer,
  begin: number,
): Promise<void> {
  for (let done = 0; done < buffer.byteLength; ) {
    const { bytesRead } = await file.read(buffer, done, buffer.byteLength - done, begin + done);
    if (bytesRead === 0) throw malformed(label, 'it ends early');
    done += bytesRead;
  }
}
