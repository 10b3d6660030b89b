/** The header of a `.npy` file (numpy.lib.format), versions 1 to 3, and the types of values that are read. */
import type { AppError } from '../../errors.ts';
import { halfToFloat } from '../halves.ts';

export interface NpyHeader {
  /** numpy's name, such as `<f4`. */
  dtype: string;
  shape: number[];
  fortran: boolean;
  /** Where the values begin. */
  dataStart: number;
}

/** Floats as they are read; `bytes` are whole values. Loops, for `from` with a function is slow. */
export const NPY_TYPES: Readonly<Record<string, { size: number; toFloats(bytes: Buffer): Float32Array }>> = {
  '<f4': { size: 4, toFloats: (bytes) => new Float32Array(aligned(bytes)) },
  '<f8': { size: 8, toFloats: (bytes) => Float32Array.from(new Float64Array(aligned(bytes))) },
  '<f2': {
    size: 2,
    toFloats(bytes) {
      const halves = new Uint16Array(aligned(bytes));
      const floats = new Float32Array(halves.length);
      for (let i = 0; i < halves.length; i++) floats[i] = halfToFloat(halves[i]!);
      return floats;
    },
  },
};

/** The same bytes where a typed array may begin. */
function aligned(bytes: Buffer): ArrayBuffer {
  const copy = new Uint8Array(bytes.length);
  copy.set(bytes);
  return copy.buffer;
}

const MAGIC = Buffer.from('\x93NUMPY', 'latin1');
/** numpy itself refuses longer ones unless told otherwise. */
const MAX_HEADER = 10_000;
const MAX_DIMENSIONS = 8;
const DESCR = /'descr':\s*'([^']{1,20})'/;
const FORTRAN = /'fortran_order':\s*(True|False)/;
const SHAPE = /'shape':\s*\(([\d,\s]*)\)/;

/** The header, or null where `bytes` end before it does. `refuse` makes the error of what is not one. */
export function parseNpyHeader(bytes: Buffer, refuse: (why: string) => AppError): NpyHeader | null {
  const n = Math.min(bytes.length, MAGIC.length);
  if (!bytes.subarray(0, n).equals(MAGIC.subarray(0, n))) throw refuse('it is not an .npy file');
  if (bytes.length < 12) return null;
  const version = bytes[6]!;
  if (version < 1 || version > 3) throw refuse(`its format has version ${version}; 1 to 3 are known`);
  const [at, length] = version === 1 ? [10, bytes.readUInt16LE(8)] : [12, bytes.readUInt32LE(8)];
  if (length > MAX_HEADER)
    throw refuse(`its header claims ${length} bytes; accepted are at most ${MAX_HEADER}`);
  if (bytes.length < at + length) return null;
  const text = bytes.toString('latin1', at, at + length);
  const [descr, fortran, shape] = [DESCR, FORTRAN, SHAPE].map((pattern) => pattern.exec(text)?.[1]);
  if (descr === undefined || fortran === undefined || shape === undefined)
    throw refuse('its header lacks descr, fortran_order or shape');
  const sizes = shape
    .split(',')
    .filter((size) => size.trim() !== '')
    .map(Number);
  if (sizes.length > MAX_DIMENSIONS || !sizes.every(Number.isSafeInteger))
    throw refuse(`its shape is (${shape})`);
  return {
    dtype: descr,
    fortran: fortran === 'True' && sizes.length > 1,
    shape: sizes,
    dataStart: at + length,
  };
}
