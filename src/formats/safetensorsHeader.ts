/**
 * The header of a `.safetensors` file, read as strictly as the reference implementation does: every byte behind it
 * belongs to exactly one tensor, and every tensor has as many bytes as its type and shape say.
 */
import { AppError } from '../errors.ts';
import { nameLookalike, TELLING_BYTES } from './lookalikes.ts';
import { findRepeatedKey } from './repeatedKeys.ts';

export const LENGTH_BYTES = 8;
/** The limit of the reference implementation; a larger length is a sign of another format. */
const MAX_HEADER_BYTES = 100_000_000;

/** Bits of an element, by the format's names of types. */
const BITS: Readonly<Record<string, number>> = {
  ...{ BOOL: 8, U8: 8, I8: 8, F8_E5M2: 8, F8_E4M3: 8, F8_E8M0: 8, F8_E4M3FNUZ: 8, F8_E5M2FNUZ: 8 },
  ...{ F4: 4, F6_E2M3: 6, F6_E3M2: 6, I16: 16, U16: 16, F16: 16, BF16: 16 },
  ...{ I32: 32, U32: 32, F32: 32, C64: 64, F64: 64, I64: 64, U64: 64 },
};

const MAX_BITS = BigInt(Number.MAX_SAFE_INTEGER);
/** Characters of a reason, which may quote the file. */
const MAX_REASON = 400;

export interface TensorEntry {
  /** One of the format's names, such as `F32`. */
  dtype: string;
  shape: number[];
  /** Byte range in the file, `[begin, end)`; as long as type and shape say. */
  begin: number;
  end: number;
}

export interface SafetensorsHeader {
  /** By name, in the order of the header; a name may be any text, `__proto__` too. */
  tensors: Record<string, TensorEntry>;
  metadata: Record<string, string>;
}

/** Where bytes are read by range: a file, or what stands on another machine. */
export interface ByteSource {
  size: number;
  /** Bytes `[begin, end)`, all of them. */
  read(begin: number, end: number): Promise<Buffer>;
}

/** The error for a file, named `label`, that cannot be read as safetensors. */
export function malformed(label: string, why: string, cause?: unknown): AppError {
  const shown = why.length > MAX_REASON ? `${why.slice(0, MAX_REASON)} …` : why;
  return new AppError('INVALID_INPUT', `${label} is not a readable safetensors file: ${shown}`, { cause });
}

/** @throws {AppError} INVALID_INPUT when the source, named `label`, is not well-formed safetensors. */
export async function readHeader(source: ByteSource, label: string): Promise<SafetensorsHeader> {
  const { size } = source;
  if (size < LENGTH_BYTES) throw malformed(label, `it has ${size} bytes, fewer than a header's length needs`);
  const length = (await source.read(0, LENGTH_BYTES)).readBigUInt64LE();
  if (length > MAX_HEADER_BYTES || BigInt(LENGTH_BYTES) + length > size) {
    const other = nameLookalike(await source.read(0, Math.min(size, TELLING_BYTES)));
    if (other) throw malformed(label, other);
    const limit = length > MAX_HEADER_BYTES ? `a header has at most ${MAX_HEADER_BYTES}` : `it has ${size}`;
    throw malformed(
      label,
      `its header claims ${length} bytes, but the file has ${size}: ${limit}; it is cut short or another format`,
    );
  }
  const dataStart = LENGTH_BYTES + Number(length);
  return parseHeader(label, await source.read(LENGTH_BYTES, dataStart), dataStart, size);
}

function parseHeader(label: string, bytes: Buffer, dataStart: number, size: number): SafetensorsHeader {
  const { __metadata__, ...entries } = parseJson(label, bytes);
  const metadata = parseMetadata(label, __metadata__);
  const tensors = Object.entries(entries).map(
    ([name, entry]) => [name, parseEntry(label, name, entry, dataStart, size)] as const,
  );
  checkCover(label, tensors, dataStart, size);
  // Not by assignment, which `__proto__` would not survive.
  return { tensors: Object.fromEntries(tensors), metadata };
}

function parseJson(label: string, bytes: Buffer): Record<string, unknown> {
  let header: unknown;
  let text: string;
  try {
    text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
    header = JSON.parse(text);
  } catch (cause) {
    throw malformed(label, 'its header is not JSON', cause);
  }
  if (!isRecord(header)) throw malformed(label, 'its header is not a JSON object');
  const repeated = findRepeatedKey(text);
  if (repeated !== null) throw malformed(label, `its header names '${repeated}' twice`);
  return header;
}

function parseMetadata(label: string, metadata: unknown = null): Record<string, string> {
  if (metadata === null) return {};
  if (!isRecord(metadata) || !Object.values(metadata).every((value) => typeof value === 'string'))
    throw malformed(label, 'its __metadata__ is not a map of strings');
  return metadata as Record<string, string>;
}

function parseEntry(
  label: string,
  name: string,
  entry: unknown,
  dataStart: number,
  size: number,
): TensorEntry {
  const { dtype, shape, data_offsets: offsets } = isRecord(entry) ? entry : {};
  if (typeof dtype !== 'string' || !isSizes(shape) || !isSizes(offsets) || offsets.length !== 2)
    throw malformed(label, `tensor '${name}' lacks a dtype, shape or data_offsets`);
  const [begin, end] = [dataStart + offsets[0]!, dataStart + offsets[1]!];
  if (begin > end || end > size)
    throw malformed(label, `tensor '${name}' lies at bytes ${begin}–${end} of a file of ${size}`);
  const needed = bytesOf(label, name, dtype, shape);
  if (needed !== end - begin)
    throw malformed(label, `tensor '${name}' of shape [${shape}] needs ${needed} bytes, has ${end - begin}`);
  return { dtype, shape, begin, end };
}

/** Bytes of so many elements. */
function bytesOf(label: string, name: string, dtype: string, shape: readonly number[]): number {
  if (!Object.hasOwn(BITS, dtype))
    throw malformed(label, `tensor '${name}' has the type ${dtype}, which the format does not know`);
  let bits = BigInt(BITS[dtype]!);
  for (const size of shape) {
    bits *= BigInt(size);
    if (bits > MAX_BITS)
      throw malformed(label, `tensor '${name}' of shape [${shape}] has more elements than a file can hold`);
  }
  if (bits % 8n) throw malformed(label, `tensor '${name}' does not end at a whole byte`);
  return Number(bits / 8n);
}

/** What lies behind the header belongs to one tensor each, without a gap. */
function checkCover(
  label: string,
  tensors: readonly (readonly [string, TensorEntry])[],
  dataStart: number,
  size: number,
): void {
  let at = dataStart;
  let before = 'the header';
  for (const [name, { begin, end }] of tensors.toSorted(
    ([, a], [, b]) => a.begin - b.begin || a.end - b.end,
  )) {
    if (begin < at)
      throw malformed(label, `tensor '${name}' overlaps ${before} at bytes ${begin}–${Math.min(at, end)}`);
    if (begin > at)
      throw malformed(label, `no tensor has bytes ${at}–${begin}, between ${before} and tensor '${name}'`);
    at = end;
    before = `tensor '${name}'`;
  }
  if (at < size) throw malformed(label, `no tensor has its last ${size - at} bytes, behind ${before}`);
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function isSizes(value: unknown): value is number[] {
  return Array.isArray(value) && value.every((item) => Number.isSafeInteger(item) && item >= 0);
}
