/** Weights of a checkpoint as float32, read block by block from wherever they lie. */
import { invalidInput } from '../../errors.ts';
import { halfBits } from '../halves.ts';
import type { ByteSource, TensorEntry } from '../safetensors.ts';

/** Bytes that are read, and converted, at a time. */
const BLOCK_BYTES = 1 << 23;

/** A tensor of a checkpoint, in whatever file it lies. */
export interface StoredTensor {
  name: string;
  /** The file's name. */
  label: string;
  /** How its values are stored, such as `BF16`. */
  dtype: string;
  shape: readonly number[];
  /** Why its values cannot be read; null where they can. */
  refusal: string | null;
  /** Its values in their order, `[values]` in pieces. */
  read(): AsyncIterable<Float32Array>;
}

/** Floats of `size` bytes that come as raw little-endian `bytes`. */
interface Format {
  size: number;
  toFloats(bytes: Buffer): Float32Array;
}

/** The element types that a safetensors checkpoint may have. */
const FORMATS: Readonly<Record<string, Format>> = {
  F32: { size: 4, toFloats: ({ buffer, byteLength }) => new Float32Array(buffer, 0, byteLength / 4) },
  F16: { size: 2, toFloats: widenHalves },
  // The upper half of a float32.
  BF16: { size: 2, toFloats: (bytes) => widen(bytes, (bits) => bits << 16) },
  F64: {
    size: 8,
    toFloats: ({ buffer, byteLength }) => Float32Array.from(new Float64Array(buffer, 0, byteLength / 8)),
  },
};

/** A tensor of a safetensors file. */
export function safetensorsTensor(
  { dtype, shape, begin, end }: TensorEntry,
  { name, label, source }: { name: string; label: string; source: ByteSource },
): StoredTensor {
  const format = Object.hasOwn(FORMATS, dtype) ? FORMATS[dtype]! : null;
  return {
    ...{ name, label, dtype, shape },
    refusal: format ? null : `is ${dtype}; supported are ${Object.keys(FORMATS).join(', ')}`,
    async *read() {
      for (let at = begin; at < end; at += BLOCK_BYTES)
        yield format!.toFloats(await source.read(at, Math.min(at + BLOCK_BYTES, end)));
    },
  };
}

const WEIGHTS_RULE = 'weights must be finite, is the checkpoint of a training that diverged?';

/**
 * The values of a tensor in its order, as float32 bytes.
 * @param rule What is said of values that are not finite.
 * @throws {AppError} INVALID_INPUT when a value is not finite.
 */
export async function* readFloats(tensor: StoredTensor, rule = WEIGHTS_RULE): AsyncGenerator<Buffer> {
  let first = 0;
  for await (const floats of tensor.read()) {
    checkFinite(floats, tensor, first, rule);
    first += floats.length;
    yield Buffer.from(floats.buffer, floats.byteOffset, floats.byteLength);
  }
}

/** @throws {AppError} INVALID_INPUT: with such a weight nothing that the model computes is a number. */
function checkFinite(
  floats: Float32Array,
  { label, name }: Pick<StoredTensor, 'label' | 'name'>,
  first: number,
  rule: string,
): void {
  for (let i = 0; i < floats.length; i++)
    if (!Number.isFinite(floats[i]))
      throw invalidInput(
        [label, name],
        `${label}: ${name} has the value ${floats[i]} at element ${first + i}; ${rule}`,
      );
}

/** All values of a tensor together. @throws {AppError} as `readFloats`. */
export async function readAllFloats(tensor: StoredTensor): Promise<Float32Array> {
  const values = new Float32Array(tensor.shape.reduce((product, dim) => product * dim, 1));
  const bytes = Buffer.from(values.buffer);
  let at = 0;
  for await (const block of readFloats(tensor)) at += block.copy(bytes, at);
  return values;
}

/** The floats whose bits `bitsOf` makes of each two bytes; a loop, for `from` with a function is slow. */
function widen({ buffer, byteLength }: Buffer, bitsOf: (bits: number) => number): Float32Array {
  const narrow = new Uint16Array(buffer, 0, byteLength / 2);
  const wide = new Uint32Array(narrow.length);
  for (let i = 0; i < narrow.length; i++) wide[i] = bitsOf(narrow[i]!);
  return new Float32Array(wide.buffer);
}

function widenHalves(bytes: Buffer): Float32Array {
  const known = halfBits();
  return widen(bytes, (half) => known[half]!);
}
