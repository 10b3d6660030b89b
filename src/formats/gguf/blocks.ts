/**
 * The element types of GGUF files, widened to float32. A quantised type stores blocks of values with scales of their own;
 * layouts and the order of rounding are those of `ggml-quants.c` and of the Python package `gguf`, to the last bit.
 */
import { halfToFloat } from '../halves.ts';

/** How a type lies in a file. */
export interface BlockType {
  id: number;
  name: string;
  /** Values of a block. */
  values: number;
  /** Bytes of a block. */
  bytes: number;
  /** Widens the block that begins at `at`; its values go to `out` from `to` on. */
  widen(block: DataView, at: number, out: Float32Array, to: number): void;
}

/** Blocks of the K types hold so many values, in sub-blocks of 16 or 32. */
const K = 256;
const round = Math.fround;
const half = (block: DataView, at: number) => halfToFloat(block.getUint16(at, true));

/** Thirty-two values of four bits each, the low halves of sixteen bytes first; `value` makes a value of its bits. */
function widenNibbles(
  block: DataView,
  at: number,
  out: Float32Array,
  to: number,
  value: (low: number, i: number) => number,
): void {
  for (let i = 0; i < 16; i++) {
    const byte = block.getUint8(at + i);
    out[to + i] = value(byte & 15, i);
    out[to + 16 + i] = value(byte >> 4, 16 + i);
  }
}

/** The fifth bits of 32 values lie together in `high`. */
function withFifthBit(low: number, high: number, i: number): number {
  return low | (((high >>> i) & 1) << 4);
}

/** Scale and offset of each of the eight sub-blocks of `Q4_K` and `Q5_K`, six bits each, packed into twelve bytes. */
function packedScale(block: DataView, at: number, j: number): { scale: number; min: number } {
  const byte = (i: number) => block.getUint8(at + i);
  if (j < 4) return { scale: byte(j) & 63, min: byte(j + 4) & 63 };
  const shared = byte(j + 4);
  return {
    scale: (shared & 15) | ((byte(j - 4) >> 2) & 48),
    min: (shared >> 4) | ((byte(j) >> 2) & 48),
  };
}

/** `Q4_K` and `Q5_K`: eight sub-blocks of 32, two of which share 32 bytes; `high` adds the fifth bit. */
function widenK(
  block: DataView,
  at: number,
  out: Float32Array,
  to: number,
  { quants, high }: { quants: number; high?: number },
): void {
  const d = half(block, at);
  const dMin = half(block, at + 2);
  for (let j = 0; j < 8; j++) {
    const { scale, min } = packedScale(block, at + 4, j);
    const step = round(d * scale);
    const offset = round(dMin * min);
    for (let i = 0; i < 32; i++) {
      const low = (block.getUint8(at + quants + (j >> 1) * 32 + i) >> (4 * (j & 1))) & 15;
      const fifth = high === undefined ? 0 : ((block.getUint8(at + high + i) >> j) & 1) << 4;
      out[to + 32 * j + i] = round(step * (low | fifth)) - offset;
    }
  }
}

function widenQ6K(block: DataView, at: number, out: Float32Array, to: number): void {
  const d = half(block, at + 208);
  for (let i = 0; i < K; i++) {
    const [section, within] = [i >> 7, i & 127]; // two sections of 128 values: 64 bytes low, 32 bytes high
    const low = block.getUint8(at + 64 * section + (within & 63)) >> (within >= 64 ? 4 : 0);
    const high = block.getUint8(at + 128 + 32 * section + (within & 31)) >> (2 * (within >> 5));
    const scale = round(d * block.getInt8(at + 192 + (i >> 4)));
    out[to + i] = scale * (((low & 15) | ((high & 3) << 4)) - 32);
  }
}

const bits = new Uint32Array(1);
const asFloat = new Float32Array(bits.buffer);

/** The types that are read; the others of the format (I-quants, ternary, Q2_K, Q3_K …) are refused by name. */
const TYPES: readonly BlockType[] = [
  {
    id: 0,
    name: 'F32',
    values: 1,
    bytes: 4,
    widen: (block, at, out, to) => {
      out[to] = block.getFloat32(at, true);
    },
  },
  {
    id: 1,
    name: 'F16',
    values: 1,
    bytes: 2,
    widen: (block, at, out, to) => {
      out[to] = half(block, at);
    },
  },
  {
    id: 2,
    name: 'Q4_0',
    values: 32,
    bytes: 18,
    widen: (block, at, out, to) => {
      const d = half(block, at);
      widenNibbles(block, at + 2, out, to, (low) => d * (low - 8));
    },
  },
  {
    id: 3,
    name: 'Q4_1',
    values: 32,
    bytes: 20,
    widen: (block, at, out, to) => {
      const d = half(block, at);
      const min = half(block, at + 2);
      widenNibbles(block, at + 4, out, to, (low) => round(d * low) + min);
    },
  },
  {
    id: 6,
    name: 'Q5_0',
    values: 32,
    bytes: 22,
    widen: (block, at, out, to) => {
      const d = half(block, at);
      const high = block.getUint32(at + 2, true);
      widenNibbles(block, at + 6, out, to, (low, i) => d * (withFifthBit(low, high, i) - 16));
    },
  },
  {
    id: 7,
    name: 'Q5_1',
    values: 32,
    bytes: 24,
    widen: (block, at, out, to) => {
      const d = half(block, at);
      const min = half(block, at + 2);
      const high = block.getUint32(at + 4, true);
      widenNibbles(block, at + 8, out, to, (low, i) => round(d * withFifthBit(low, high, i)) + min);
    },
  },
  {
    id: 8,
    name: 'Q8_0',
    values: 32,
    bytes: 34,
    widen: (block, at, out, to) => {
      const d = half(block, at);
      for (let i = 0; i < 32; i++) out[to + i] = block.getInt8(at + 2 + i) * d;
    },
  },
  {
    id: 12,
    name: 'Q4_K',
    values: K,
    bytes: 144,
    widen: (block, at, out, to) => widenK(block, at, out, to, { quants: 16 }),
  },
  {
    id: 13,
    name: 'Q5_K',
    values: K,
    bytes: 176,
    widen: (block, at, out, to) => widenK(block, at, out, to, { high: 16, quants: 48 }),
  },
  { id: 14, name: 'Q6_K', values: K, bytes: 210, widen: widenQ6K },
  {
    id: 30,
    name: 'BF16',
    values: 1,
    bytes: 2,
    widen: (block, at, out, to) => {
      bits[0] = block.getUint16(at, true) << 16;
      out[to] = asFloat[0]!;
    },
  },
];

/** By the number that the format has for them (`enum ggml_type`). */
export const BLOCK_TYPES: ReadonlyMap<number, BlockType> = new Map(TYPES.map((type) => [type.id, type]));
